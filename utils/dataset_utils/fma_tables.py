"""FMA's tables: tracks.csv, whose columns have names of two rows, and the tree of genres.csv.

Source: Defferrard et al., FMA: A Dataset for Music Analysis, ISMIR 2017; https://github.com/mdeff/fma, usage.ipynb.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import strict_rows
from utils.cli_utils import UserError
from utils.dataset_utils.music import Genre, tidy

_LONGEST_CELL = 1 << 24
_SHOWN = 60  # characters of a header in a message
_NUMBER = re.compile(r"\d+")


class FmaRow(NamedTuple):
    """A row of tracks.csv, as it is written there; what is missing is empty."""

    track_id: str
    split: str
    subset: str
    genre_top: str
    title: str
    artist: str
    album: str
    genre_ids: tuple[int, ...]


# Column of the table -> where FMA has it. Only the first two are needed: data in FMA's layout may lack the others.
_COLUMNS = {
    "split": ("set", "split"),
    "genre_top": ("track", "genre_top"),
    "subset": ("set", "subset"),
    "title": ("track", "title"),
    "artist": ("artist", "name"),
    "album": ("album", "title"),
    "genres_all": ("track", "genres_all"),  # with those above them in the tree
    "genres": ("track", "genres"),
}
_NEEDED = ("split", "genre_top")


def read_tracks(path: Path) -> list[FmaRow]:
    """The rows of tracks.csv.

    Raises:
        UserError: not in UTF-8, no CSV, other header rows than FMA's two and the index row, or no row that fits them.
    """
    with _long_cells():
        rows = strict_rows(path)
        header = [cells for _, cells in islice(rows, 3)]
        there = _columns(path, header)
        places = {name: there[key] for name, key in _COLUMNS.items() if key in there}
        tracks = [_row(path, line, cells, places, len(header[0])) for line, cells in rows]
    if not tracks:
        raise UserError(f"{path}: holds no tracks below its header; give FMA's file as it is")
    return tracks


def _row(path: Path, line: int, cells: list[str], places: Mapping[str, int], width: int) -> FmaRow:
    """The row of these cells.

    Raises:
        UserError: there are more of them than columns, so that it is not known which is which.
    """
    if len(cells) > width:
        raise UserError(f"{path}, line {line}: {len(cells)} cells, the header has {width}; give FMA's file as it is")
    found = {name: cells[place] for name, place in places.items() if place < len(cells)}
    return FmaRow(
        track_id=cells[0].strip(),
        split=found.get("split", "").strip(),
        subset=found.get("subset", "").strip(),
        genre_top=tidy(found.get("genre_top", "")),
        title=tidy(found.get("title", "")),
        artist=tidy(found.get("artist", "")),
        album=tidy(found.get("album", "")),
        genre_ids=tuple(map(int, _NUMBER.findall(found.get("genres_all", found.get("genres", ""))))),
    )


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as FMA's biographies may be; elsewhere a long one is a quote that is never closed."""
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _columns(path: Path, rows: list[list[str]]) -> dict[tuple[str, str], int]:
    """The position of each column, by its names of both header rows.

    Raises:
        UserError: there are not two of them and an index row, or a needed column is missing.
    """
    index = next((number for number, row in enumerate(rows) if row[0].strip() == "track_id"), None)
    if index != 2:
        first = ",".join(rows[0])[:_SHOWN] if rows else "nothing"
        found = "one header row, as of a plain table" if index == 0 else "no third row that begins with track_id"
        raise UserError(
            f"{path}: found {found} (it begins with '{first}'), expected FMA's two header rows and the row track_id; "
            "give FMA's file as it is, or a plain table as data.table"
        )
    there = {(one.strip(), other.strip()): at for at, (one, other) in enumerate(zip(rows[0], rows[1], strict=False))}
    missing = [".".join(_COLUMNS[name]) for name in _NEEDED if _COLUMNS[name] not in there]
    if missing:
        known = ", ".join(".".join(key) for key in there if all(key))[:_SHOWN]
        raise UserError(f"{path}: column {', '.join(missing)} is missing, found {known}; give FMA's file as it is")
    return there


def read_genres(path: Path) -> dict[int, Genre]:
    """The tree of genres.csv, by id.

    Raises:
        UserError: no CSV in UTF-8, or without FMA's columns.
    """
    rows = list(strict_rows(path)) or [(1, [])]
    columns = [column.strip() for column in rows[0][1]]
    needed = ("genre_id", "title", "parent", "top_level")
    if missing := [column for column in needed if column not in columns]:
        raise UserError(
            f"{path}: column {', '.join(missing)} is missing, found {', '.join(columns) or 'none'}; give FMA's file, "
            "or remove it: it is not needed"
        )
    places = [columns.index(column) for column in needed]
    cells: dict[int, list[str]] = {}
    for line, row in rows[1:]:
        picked = [row[place].strip() if place < len(row) else "" for place in places]
        if not all(_NUMBER.fullmatch(picked[number]) for number in (0, 2, 3)):
            raise UserError(f"{path}, line {line}: expected numbers as genre_id, parent and top_level; give FMA's file")
        cells[int(picked[0])] = picked
    names = {number: tidy(row[1]).replace(";", ",") for number, row in cells.items()}
    return {
        number: Genre(names[number], names.get(int(row[2]), ""), names.get(int(row[3]), names[number]))
        for number, row in cells.items()
    }
