"""A folder of music and a table of any layout: its columns of files, titles, artists, albums, genres and splits."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import check_columns, check_text_file, strict_rows
from utils.cli_utils import UserError
from utils.dataset_utils.clips import Rejected
from utils.dataset_utils.file_names import FileNames, audio_below, describe_ways
from utils.dataset_utils.music import RawMusic, RawTrack, main_artist, several_names, tidy, with_one_spelling

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# What a column holds -> its names, the most telling first; case, blanks, `_` and `-` do not count.
_MEANINGS = {
    "path": ("path", "filepath", "audiopath", "filename", "file", "fname", "audiofile", "audio", "location"),
    "title": ("title", "tracktitle", "trackname", "song", "track", "name"),
    "artist": ("artist", "artistname", "trackartist", "performer", "albumartist", "composer"),
    "album": ("album", "albumtitle", "albumname", "release"),
    "genre": ("genre", "genretop", "genres", "style", "label"),
    "split": ("split", "set", "partition"),
    "track_id": ("trackid", "id"),
}


class _Roles(NamedTuple):
    """What the columns of a table hold."""

    delimiter: str
    columns: list[str]
    places: Mapping[str, int]  # meaning -> position


def read_music_table(root: Path, path: Path) -> RawMusic:
    """Read a table of files with commas, semicolons or tabs between its columns.

    Args:
        root: the folder of the music.
        path: the table: a column of files, and any of title, artist, album, genre, split and track_id.
    Raises:
        UserError: no table in UTF-8, no column of files, no audio below the root, or no row with a file.
    """
    files = audio_below(root)
    if not files:
        raise UserError(f"{root}: no audio files in this folder or below it; name the folder of the music: data.root")
    roles = _roles(path)
    refused: list[Rejected] = []
    rows = _rows(path, roles, refused)
    found = FileNames(root, files).find([row["path"] for _, row in rows])
    tracks: list[RawTrack] = []
    lines: dict[str | Path, int] = {}  # of each file and each id that a track has
    for (line, row), file in zip(rows, found.files, strict=True):
        if isinstance(file, str):
            refused.append(Rejected("clip", f"{path.name} line {line}", file))
            continue
        track = _track(root, file, row)
        if same := lines.get(file) or lines.get(track.track_id):
            what = f"'{track.track_id}' is" if track.track_id in lines else f"'{row['path']}' is"
            refused.append(Rejected("clip", f"{path.name} line {line}", f"{what} in line {same} too, which counts"))
            continue
        lines[file] = lines[track.track_id] = line
        tracks.append(track)
    if not tracks:
        first = f": {refused[0].name}: {refused[0].reason}" if refused else ""
        example = files[0].relative_to(root).as_posix()
        raise UserError(f"{path}: no row has a file below {root} (the first is '{example}'){first}; correct the paths")
    named = set(found.files)
    bare = [file for file in files if file not in named]
    refused += [Rejected("clip", file.relative_to(root).as_posix(), "in no row of the table") for file in bare]
    understood = [_describe(path, roles)]
    if found.ways:
        understood.append(f"file names: {describe_ways(found.ways)}")
    return RawMusic(with_one_spelling(tracks), refused, understood)


def _track(root: Path, file: Path, row: Mapping[str, str]) -> RawTrack:
    genres = several_names(row["genre"])
    return RawTrack(
        file,
        tidy(row["track_id"]) or file.relative_to(root).as_posix(),
        tidy(row["title"]) or file.stem,
        main_artist(row["artist"]),
        tidy(row["album"]),
        genres[0] if genres else "",
        genres,
        tidy(row["split"]),
    )


def _roles(path: Path) -> _Roles:
    check_text_file(path)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = stream.readline(2**20).rstrip("\r\n")
    tables = [(delimiter, next(csv.reader([header], delimiter=delimiter), [])) for delimiter in _DELIMITERS]
    known = [_Roles(delimiter, columns, _places(columns)) for delimiter, columns in tables]
    found = max((roles for roles in known if "path" in roles.places), key=lambda r: len(r.places), default=None)
    if found is None:
        columns = max((columns for _, columns in tables), key=len)
        raise UserError(
            f"{path}: found the columns {', '.join(columns) or 'none'}, expected one of files "
            f"({', '.join(_MEANINGS['path'])}), and perhaps genre, artist, title, album, with commas, semicolons "
            "or tabs between them; correct the first line"
        )
    check_columns(path, [column.strip() for column in found.columns])
    return found


def _places(columns: Sequence[str]) -> dict[str, int]:
    at = {re.sub(r"[\s_-]", "", column.casefold()): place for place, column in reversed(list(enumerate(columns)))}
    names = {meaning: next((name for name in known if name in at), None) for meaning, known in _MEANINGS.items()}
    return {meaning: at[name] for meaning, name in names.items() if name is not None}


def _rows(path: Path, roles: _Roles, refused: list[Rejected]) -> list[tuple[int, dict[str, str]]]:
    """The cells of each row by meaning, with its line; rows of too many fields are appended to `refused`."""
    rows = []
    for line, cells in list(strict_rows(path, roles.delimiter))[1:]:
        if len(cells) > len(roles.columns) and any(map(str.strip, cells[len(roles.columns) :])):
            reason = f"{len(cells)} fields, the header has {len(roles.columns)}; put names with delimiters in quotes"
            refused.append(Rejected("clip", f"{path.name} line {line}", reason))
        elif any(map(str.strip, cells)):
            row = dict.fromkeys(_MEANINGS, "")
            row |= {meaning: cells[place] for meaning, place in roles.places.items() if place < len(cells)}
            rows.append((line, row))
    return rows


def _describe(path: Path, roles: _Roles) -> str:
    used = [f"{meaning} in '{roles.columns[place].strip()}'" for meaning, place in roles.places.items()]
    others = [c.strip() for at, c in enumerate(roles.columns) if c.strip() and at not in roles.places.values()]
    line = f"{path.name}: {_DELIMITERS[roles.delimiter]} between the columns; {', '.join(used)}"
    return line + (f"; not used: {', '.join(others)}" if others else "")
