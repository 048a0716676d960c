"""Which clips are relevant to which query: metadata_eval.csv of DCASE 2025 task 6, or ratings of pairs.

Source: DCASE 2025 task 6; TAU Audio-Text Graded Relevances 2023 (Xie et al., DCASE 2023), <split>_relevances.csv.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import Row, number_in, shortened, strict_rows
from utils.artefact_utils.retrieval.id_names import IdNames, read_id_names
from utils.cli_utils import ArtefactError

_NEEDED = ("query", "audio_filenames")
_GAINS = "relevances"
_RATED = ("tid", "fid", "rating")
_MAX_GAIN = 1e100  # sums and products of larger gains would overflow


class RelevanceList(NamedTuple):
    """A query and its relevant clips."""

    query: str  # as in the file; of ratings, the caption, or the tid if its caption is unknown
    filenames: tuple[str, ...]  # distinct; empty only for a query whose clips are all rated 0
    gains: tuple[float, ...]  # of each clip, above 0; 1.0 if relevance is not graded


def read_relevance(path: Path, ids: Sequence[Path] = ()) -> list[RelevanceList]:
    """Read the relevant clips of every query, in the order of the file.

    The columns are `query`, `audio_filenames` (a Python list of names) and, for graded relevance, `relevances` (a list
    of as many numbers above 0); or `tid`, `fid` and `rating`, one row a pair, where a rating of 0 means not relevant.
    Other columns are ignored.

    Args:
        path: the CSV.
        ids: tables for `read_id_names`, to look up `tid` and `fid`; none: those of the published ratings, in
            ../text_data and ../audio_metadata.
    Raises:
        ArtefactError: the file is missing or is no such table; the message names the line.
    Source: DCASE 2025 task 6, metadata_eval.csv of the evaluation split of Clotho.
    """
    rows = strict_rows(path)
    line, header = next(rows, (1, []))
    if set(_RATED) <= set(header):
        return _rated(path, header, rows, read_id_names(ids or _published_ids(path)))
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        found = shortened(", ".join(header)) or "nothing"
        raise ArtefactError(f"{path}, line {line}: column {', '.join(missing)} is missing, found {found}; add it")
    lists = []
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise ArtefactError(f"{where}: {len(cells)} cells, expected {len(header)}; quote cells that hold a comma")
        lists.append(_relevance_list(dict(zip(header, cells, strict=True)), where))
    if not lists:
        raise ArtefactError(f"{path}: holds no queries, only a header; add queries")
    return lists


def _published_ids(path: Path) -> list[Path]:
    """Return the tables of ids that are published with the ratings."""
    split, data = path.stem.removesuffix("_relevances"), path.parent.parent
    tables = [data / "text_data" / f"{split}_text.csv", data / "audio_metadata" / f"{split}_audio_metadata.csv"]
    return [table for table in tables if table.is_file()]


def _rated(path: Path, header: list[str], rows: Iterable[Row], names: IdNames) -> list[RelevanceList]:
    """Read the lists of a table with one row a pair; queries in the order of their first row."""
    tid_column, fid_column, rating_column = (header.index(column) for column in _RATED)
    rated: dict[str, dict[str, float]] = {}
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise ArtefactError(f"{where}: {len(cells)} cells, expected {len(header)}; quote cells that hold a comma")
        tid, fid, rating = cells[tid_column], cells[fid_column], number_in(cells[rating_column])
        if not tid.strip() or not fid.strip():
            raise ArtefactError(f"{where}: tid or fid is empty, expected both; write it, or remove the line")
        if rating is None or not 0 <= rating <= _MAX_GAIN:
            found = shortened(repr(cells[rating_column]))
            raise ArtefactError(f"{where}: rating is {found}, expected a number of 0 or more; correct it")
        clips = rated.setdefault(tid, {})
        if fid in clips:
            raise ArtefactError(f"{where}: clip {fid} is rated twice for {tid}; remove one")
        clips[fid] = rating
    if not rated:
        raise ArtefactError(f"{path}: holds no queries, only a header; add queries")
    lists = []
    for tid, clips in rated.items():
        gains = {names.files.get(fid, fid): rating for fid, rating in clips.items() if rating > 0}
        lists.append(RelevanceList(names.texts.get(tid, tid), tuple(gains), tuple(gains.values())))
    return lists


def _relevance_list(row: dict[str, str], where: str) -> RelevanceList:
    if not row["query"].strip():
        raise ArtefactError(f"{where}: query is empty, expected a text; remove the line, or write the query")
    names = _python_list(row["audio_filenames"], f"{where}: audio_filenames", "['a.wav', 'b.wav']")
    filenames = tuple(name for name in names if isinstance(name, str) and name.strip())
    if len(filenames) < len(names):
        strange = next(name for name in names if not isinstance(name, str) or not name.strip())
        raise ArtefactError(f"{where}: audio_filenames holds {strange!r}, expected file names; correct it")
    if not filenames:
        raise ArtefactError(f"{where}: audio_filenames is empty, expected at least one file; remove the line")
    if len(set(filenames)) < len(filenames):
        twice = Counter(filenames).most_common(1)[0][0]
        raise ArtefactError(f"{where}: audio_filenames names '{twice}' twice; remove one")
    gains = tuple(1.0 for _ in filenames)
    if _GAINS in row:
        gains = _gains(_python_list(row[_GAINS], f"{where}: {_GAINS}", "[1.0, 0.5]"), len(filenames), where)
    return RelevanceList(row["query"], filenames, gains)


def _python_list(text: str, what: str, example: str) -> list[object]:
    """Parse a Python list of constants; nothing is executed."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise ArtefactError(f"{what} is {shortened(text)!r}, expected a Python list such as {example}; correct it")
    return value


def _gains(values: list[object], expected: int, where: str) -> tuple[float, ...]:
    if len(values) != expected:
        raise ArtefactError(f"{where}: {_GAINS} holds {len(values)} numbers for {expected} files; give one a file")
    gains: list[float] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_GAIN:
            raise ArtefactError(
                f"{where}: {_GAINS} holds {shortened(repr(value))}, expected numbers above 0; leave files out that "
                "are not relevant"
            )
        gains.append(float(value))
    return tuple(gains)
