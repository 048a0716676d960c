"""Read scores of other programs: a CSV matrix, npy, npz, the baseline's shelf, or a submission file of DCASE."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.csv_rows import Row, number_in, numbers_in, read_lines, shortened, strict_rows
from utils.artefact_utils.files import check_is_file
from utils.artefact_utils.npz import BROKEN_ARRAYS, open_npz
from utils.artefact_utils.retrieval.shelves import other_database, read_shelf, shelf_of
from utils.cli_utils import ArtefactError

_DTYPES = (np.float16, np.float32, np.float64)
_BLOCK_SCORES = 2**22  # scores checked at a time, for a matrix of any size
_NPZ_ARRAYS = ("scores", "queries", "files")
_Scores = NDArray[Any]


class ForeignScores(NamedTuple):
    """The scores of a file, in the order of the file."""

    scores: _Scores  # (Q, C) float16, float32 or float64, finite, higher = more similar; a memory map for npy.
    # For ranked lists (Q, n) int64: the indices in `files` of the top n of each query, best first.
    queries: list[str]  # Q texts or tids
    files: list[str]  # C file names or fids, distinct
    depth: int | None  # None: `scores` are scores; n: they are ranked lists of the top n
    path: Path


def read_foreign_scores(path: Path, queries: Path | None = None, files: Path | None = None) -> ForeignScores:
    """Read scores; the suffix decides the format.

    - CSV: a header with the file names, and a row for each query: the query (its text or tid) and its scores; also the
      format of a submission of 2025. Rows are streamed into float64, 8 bytes a score.
    - CSV with the header `caption,file_name_1,...,file_name_n` (a submission of 2022 to 2024), `caption,fname_1,...`
      (the baseline's results of 2024) or `0,1,...,n` (those of 2023): file names, best first; `depth` is n.
    - npy: the matrix, with two lists of ids, one a line. It is memory-mapped if its byte order is the machine's.
    - npz: the arrays `scores`, `queries` and `files`.
    - db: the shelf of the DCASE 2023 baseline, <split>_xmodal_scores.db (.dat and .dir), with tids as queries and fids
      as files.

    Args:
        path: the file.
        queries: the list of queries of an npy.
        files: the list of files of an npy.
    Raises:
        ArtefactError: missing, of another kind, broken, or with a score that is not finite; the message says where.
    """
    read = {".csv": _read_csv, ".npz": _read_npz}.get(path.suffix.lower())
    if (shelf := shelf_of(path)) is not None:
        read, path = _read_shelf, shelf
    elif read is None and (other := other_database(path)):
        raise ArtefactError(
            f"{path}: is {other}, expected the .dat and .dir that the baseline writes; copy it with Python's shelve "
            "into a database of dbm.dumb"
        )
    elif read is None and path.suffix.lower() != ".npy":
        raise ArtefactError(f"{path}: suffix '{path.suffix}' is none of .csv, .npy, .npz, .db; name another file")
    else:
        check_is_file(path, "name a file of scores")
    if read is None:
        return _read_npy(path, queries, files)
    if queries is not None or files is not None:
        raise ArtefactError(f"{path}: names its own queries and files; leave out --queries and --files")
    return read(path)


def _read_shelf(path: Path) -> ForeignScores:
    found = read_shelf(path)
    return ForeignScores(found.scores, found.tids, found.fids, None, path)


def ranked_header(width: int) -> list[str]:
    """Return the columns of a submission of 2022 to 2024."""
    return ["caption", *(f"file_name_{n}" for n in range(1, width + 1))]


def _is_ranked(header: Sequence[str], first: Sequence[str]) -> bool:
    """Return whether a table has ranked lists of file names, by its header and its first row."""
    ranks = range(1, len(header))
    if any(header[1:] == [f"{name}_{n}" for n in ranks] for name in ("file_name", "fname")):
        return True
    # pandas numbers columns without names; but a matrix may have files named 1, 2, ..., above scores
    return header == [str(n) for n in range(len(header))] and all(number_in(cell) is None for cell in first[1:])


def _read_csv(path: Path) -> ForeignScores:
    rows = strict_rows(path)
    _, header = next(rows, (1, []))
    if len(header) < 2:
        raise ArtefactError(f"{path}, line 1: {len(header)} columns, expected a query and the names of the files")
    even = _even_rows(path, header, rows)
    first = list(islice(even, 1))
    read = _ranked_names if _is_ranked(header, first[0][1] if first else []) else _matrix
    found = read(path, header, chain(first, even))
    if not found.queries:
        raise ArtefactError(f"{path}: holds no queries, only a header; write a row for every query")
    return found


def _even_rows(path: Path, header: Sequence[str], rows: Iterator[Row]) -> Iterator[Row]:
    for line, cells in rows:
        if len(cells) != len(header):
            raise ArtefactError(
                f"{path}, line {line}: {len(cells)} cells, expected {len(header)} as in the header; quote cells that "
                "hold a comma"
            )
        yield line, cells


def _matrix(path: Path, header: list[str], rows: Iterable[Row]) -> ForeignScores:
    files = header[1:]
    _check_files(files, f"{path}, line 1")
    queries: list[str] = []
    values = array("d")  # grows in place; stacking a list of rows at the end takes twice the memory
    for line, cells in rows:
        queries.append(cells[0])
        values.frombytes(_numbers(cells[1:], files, f"{path}, line {line}").tobytes())
    flat = np.frombuffer(values, np.float64) if values else np.zeros(0)
    scores = flat.reshape(len(queries), len(files))
    return ForeignScores(scores, queries, files, None, path)


def _numbers(cells: list[str], files: Sequence[str], where: str) -> NDArray[np.float64]:
    """Parse the (C,) scores of a row."""
    values = numbers_in(cells)
    if values is None:
        strange = [column for column, cell in enumerate(cells) if number_in(cell) is None]
        if len(strange) == len(cells) > 1 and all(cell.strip() for cell in cells):
            raise ArtefactError(
                f"{where}: not numbers but {shortened(cells[0])!r} and so on; ranked lists have the header "
                "caption,file_name_1,file_name_2,..., or caption,fname_1,..., or 0,1,..., a matrix has numbers"
            )
        found = f"{shortened(cells[strange[0]])!r}, expected a number; correct it"
        raise ArtefactError(f"{where}: the score of '{files[strange[0]]}' is {found}")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        found = f"{shortened(cells[bad[0]].strip())}, expected a finite number; correct it"
        raise ArtefactError(f"{where}: the score of '{files[bad[0]]}' is {found}")
    return values


def _ranked_names(path: Path, header: list[str], rows: Iterable[Row]) -> ForeignScores:
    depth = len(header) - 1
    queries: list[str] = []
    columns: dict[str, int] = {}
    ranked = array("q")  # `depth` indices a query
    for line, cells in rows:
        queries.append(cells[0])
        names = cells[1:]
        empty = next((header[n] for n, name in enumerate(names, 1) if not name.strip()), None)
        if empty is not None:
            raise ArtefactError(f"{path}, line {line}: {empty} is empty, expected {depth} file names; add it")
        if len(set(names)) < depth:
            twice = Counter(names).most_common(1)[0][0]
            raise ArtefactError(f"{path}, line {line}: names '{twice}' twice; name {depth} different files")
        ranked.extend(columns.setdefault(name, len(columns)) for name in names)
    index = np.frombuffer(ranked, np.int64) if queries else np.zeros(0, np.int64)
    return ForeignScores(index.reshape(len(queries), depth), queries, list(columns), depth, path)


def _read_npy(path: Path, queries: Path | None, files: Path | None) -> ForeignScores:
    if queries is None or files is None:
        missing = " and ".join(name for name, given in (("--queries", queries), ("--files", files)) if given is None)
        raise ArtefactError(f"{path}: has no names of its rows and columns; give {missing} FILE, one id a line")
    scores = _plain(path, lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    row_names, column_names = read_lines(queries), read_lines(files)
    scores = _native(scores)
    _check_matrix(path, scores, len(row_names), len(column_names), (str(queries), str(files)))
    _check_files(column_names, str(files))
    _check_finite(path, scores, row_names, column_names)
    return ForeignScores(scores, row_names, column_names, None, path)


def _read_npz(path: Path) -> ForeignScores:
    arrays = _plain(path, lambda: _load_npz(path))
    missing = [name for name in _NPZ_ARRAYS if name not in arrays]
    if missing:
        found = ", ".join(arrays) or "none"
        raise ArtefactError(f"{path}: array {', '.join(missing)} is missing, found {found}; write it with np.savez")
    scores = _native(arrays["scores"])
    queries, files = (_texts(path, name, arrays[name]) for name in ("queries", "files"))
    _check_matrix(path, scores, len(queries), len(files), ("queries", "files"))
    _check_files(files, f"{path}, files")
    _check_finite(path, scores, queries, files)
    return ForeignScores(scores, queries, files, None, path)


def _load_npz(path: Path) -> dict[str, Any]:
    with open_npz(path, "write it again, without Python objects") as arrays:
        return {name: arrays[name] for name in arrays if name in _NPZ_ARRAYS}


def _plain(path: Path, load: Callable[[], Any]) -> Any:
    """Call `load`, and report broken files and pickled objects (which could run code) in one line."""
    try:
        return load()
    except (*BROKEN_ARRAYS, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtefactError(
            f"{path}: not a complete file of plain numpy arrays ({reason}); write it again, without Python objects"
        ) from error


def _native(scores: Any) -> Any:
    """Convert floats of the other byte order, which torch does not take."""
    if not isinstance(scores, np.ndarray) or scores.dtype.isnative or scores.dtype.kind != "f":
        return scores
    return scores.astype(scores.dtype.newbyteorder("="))


def _texts(path: Path, name: str, values: NDArray[Any]) -> list[str]:
    if values.ndim != 1 or values.dtype.kind not in "US":
        found = f"{values.dtype} {values.shape}"
        raise ArtefactError(f"{path}: {name} is {found}, expected a list of texts; write np.array(names)")
    if values.dtype.kind == "U":
        return [str(value) for value in values]
    try:
        return [value.decode() for value in values.tolist()]
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: {name} holds bytes that are not UTF-8; write them as texts") from error


def _check_matrix(path: Path, scores: Any, rows: int, columns: int, named_by: tuple[str, str]) -> None:
    if not isinstance(scores, np.ndarray) or scores.dtype not in _DTYPES:
        found = scores.dtype if isinstance(scores, np.ndarray) else type(scores).__name__
        raise ArtefactError(f"{path}: scores are {found}, expected float16, float32 or float64; convert them")
    if scores.shape != (rows, columns):
        found = f"scores are {scores.shape}, but {named_by[0]} holds {rows} names and {named_by[1]} holds {columns}"
        raise ArtefactError(f"{path}: {found}; expected a row a query and a column a file")
    if not scores.size:
        raise ArtefactError(f"{path}: scores are {scores.shape}, expected at least one query and one file")


def _check_files(files: Sequence[str], where: str) -> None:
    seen: dict[str, int] = {}
    for number, name in enumerate(files, 1):
        if not name.strip():
            raise ArtefactError(f"{where}: file {number} has no name; name it, or remove its scores")
        if name in seen:
            raise ArtefactError(f"{where}: '{name}' occurs twice, as file {seen[name]} and {number}; remove one")
        seen[name] = number


def _check_finite(path: Path, scores: _Scores, queries: Sequence[str], files: Sequence[str]) -> None:
    step = max(1, _BLOCK_SCORES // scores.shape[1])
    for start in range(0, len(scores), step):
        bad = np.argwhere(~np.isfinite(scores[start : start + step]))
        if len(bad):
            row, column = start + int(bad[0][0]), int(bad[0][1])
            value = float(scores[row, column])
            word = "nan" if math.isnan(value) else str(value)
            raise ArtefactError(
                f"{path}: the score of query {row + 1} '{queries[row]}' and file '{files[column]}' is {word}, expected "
                "a finite number; correct it"
            )
