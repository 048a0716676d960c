"""Write and check submission files of DCASE's language-based audio retrieval task, 2022 to 2025.

2022-2024   `caption,file_name_1,...,file_name_10`: the raw caption and its top 10 clips
2025        a matrix: a header with the file names, and a row for each query: the query and its scores
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.csv_rows import (
    begins_with_mark,
    check_text_file,
    loose_rows,
    not_utf8,
    number_in,
    numbers_in,
)
from utils.artefact_utils.ownership import known_matrix
from utils.artefact_utils.retrieval.foreign_scores import ranked_header
from utils.artefact_utils.tables import write_rows

SUBMISSION_YEARS = (2022, 2023, 2024, 2025)
_MATRIX_YEAR = 2025
_SHOWN = 5  # problems listed of each kind, so that many of one kind do not hide another
_NAMES = 10


class CheckedSubmission(NamedTuple):
    """The problems of a file, and its size."""

    problems: list[str]  # kind by kind: the first 5 with their lines, and how many there are if more
    total: int  # number of all problems; 0: the file is correct
    rows: int
    files: int  # number of distinct clips of the split that it names


def write_ranked_submission(path: Path, captions: Sequence[str], names: Iterable[Sequence[str]]) -> None:
    """Write the file of 2022 to 2024.

    Args:
        path: the CSV.
        captions: Q raw captions, exactly as in the dataset.
        names: the top clips of each caption, best first: ten, or all of a smaller split.
    """
    ranked = [list(row) for row in names]
    rows = ([caption, *row] for caption, row in zip(captions, ranked, strict=True))
    header = ranked_header(len(ranked[0]))
    write_rows(path, header, rows, known_matrix(header[0]))


def write_matrix_submission(
    path: Path, queries: Sequence[str], files: Sequence[str], rows: Iterable[NDArray[Any]]
) -> None:
    """Write the file of 2025, with as few digits as give the same float32 or float64 when they are read again.

    Args:
        path: the CSV.
        queries: Q queries.
        files: C file names.
        rows: (C,) scores of each query, float32 or float64.
    """
    # str of a numpy number, not of a Python float: for a float32 it needs 9 digits at most, not 17.
    cells = ([query, *map(str, row)] for query, row in zip(queries, rows, strict=True))
    write_rows(path, ["query", *files], cells, known_matrix("query"))


def check_submission(
    path: Path,
    year: int,
    queries: Sequence[str],
    files: Sequence[str],
    captions: Sequence[str] = (),
    listed: str = "",
) -> CheckedSubmission:
    """Check a submission against the queries and clips of a split.

    Args:
        path: the CSV.
        year: one of `SUBMISSION_YEARS`.
        queries: the queries of the split, with repetitions; the organisers' code compares them literally.
        files: the names of all clips.
        captions: all captions of the split, if the queries are only some of them.
        listed: the name of the list that the queries are from, for messages.
    Raises:
        ArtefactError: there is no such file, or it is UTF-16.
    """
    check_text_file(path)
    check = _Check(queries, files, captions, listed)
    if begins_with_mark(path):
        check.problem("file", "line 1: begins with a byte order mark (BOM); save the file as UTF-8 without one")
    line = 1
    try:
        for number, (line, cells) in enumerate(loose_rows(path)):
            check.encoding(line, cells)
            if number == 0:
                check.header(line, cells, year)
            else:
                check.row(line, cells)
    except csv.Error as error:
        check.problem("file", f"line {line} or later: not CSV ({error}); a quote may never be closed")
    check.end()
    return CheckedSubmission(check.lines(), check.total, check.rows, len(check.named))


class _Check:
    """Collects the problems of a file, line by line."""

    def __init__(
        self, queries: Sequence[str], files: Sequence[str], captions: Sequence[str] = (), listed: str = ""
    ) -> None:
        self.rows = 0
        self.named: set[str] = set()
        self._problems: dict[str, list[str]] = {}  # by kind
        self._counts: Counter[str] = Counter()
        self._captions = {caption.strip() for caption in captions}
        self._listed = listed
        self._missing = Counter(queries)
        self._queries = set(self._missing)
        self._spelled = {query.strip(): query for query in reversed(queries)}  # reversed: the first of equal ones wins
        self._number_of_queries = len(queries)
        self._files = list(files)
        self._known_files = set(files)
        self._ranked = True
        self._header: list[str] = []

    @property
    def total(self) -> int:
        """Number of problems."""
        return self._counts.total()

    def problem(self, kind: str, text: str) -> None:
        """Count a problem, and store its text if it is among the first of its kind."""
        self._counts[kind] += 1
        shown = self._problems.setdefault(kind, [])
        if len(shown) < _SHOWN:
            shown.append(text)

    def lines(self) -> list[str]:
        """Return the lines to print."""
        lines: list[str] = []
        for kind, shown in self._problems.items():
            lines += shown
            if self._counts[kind] > len(shown):
                lines.append(f"... {self._counts[kind]} in all: {kind}")
        return lines

    def encoding(self, line: int, cells: list[str]) -> None:
        """Check that a line is UTF-8."""
        strange = not_utf8(cells)
        if strange:
            self.problem("lines that are not UTF-8", f"line {line}: {strange}")

    def header(self, line: int, cells: list[str], year: int) -> None:
        """Check the first row: fixed names, or one column a clip."""
        self._ranked = year != _MATRIX_YEAR
        self._header = cells
        if self._ranked:
            self._header = ranked_header(min(_NAMES, len(self._files)))
            if cells != self._header:
                expected = f"caption,file_name_1,...,{self._header[-1]}"
                self.problem("header", f"line {line}: the header is {_shown(','.join(cells))}, expected {expected}")
            return
        names = cells[1:]
        self._names(line, "the header", names)
        missing = [name for name in self._files if name not in self.named]
        if missing:
            found = f"{len(missing)} of {len(self._files)} clips have no column: {_list(missing)}"
            self.problem("header", f"line {line}: {found}")

    def row(self, line: int, cells: list[str]) -> None:
        """Check a query and its ten clips, or its scores."""
        self.rows += 1
        self._query(line, cells[0])
        if len(cells) != len(self._header):
            what = "file names" if self._ranked else "scores"
            found = f"{len(cells) - 1} {what}, expected {len(self._header) - 1}"
            self.problem(f"rows of another number of {what}", f"line {line}: {found}")
        if self._ranked:
            empty = sum(not name.strip() for name in cells[1:])
            if empty:
                self.problem("rows with empty file names", f"line {line}: {empty} file names are empty")
            self._names(line, "the row", [name for name in cells[1:] if name.strip()])
        else:
            self._scores(line, cells[1:])

    def end(self) -> None:
        """Check what only the whole file shows: missing queries, and the number of rows."""
        if not self._header:
            self.problem("file", "line 1: the file is empty, expected a header")
        if self.rows != self._number_of_queries:
            self.problem("number of rows", f"the whole file: {self.rows} rows, expected {self._number_of_queries}")
        missing = [query for query, count in self._missing.items() if count > 0]
        if missing:
            what = f"queries of {self._listed}" if self._listed else "captions"
            self.problem("missing", f"the whole file: {len(missing)} {what} are missing: {_list(missing)}")

    def _query(self, line: int, cell: str) -> None:
        query = cell if cell in self._queries else self._spelled.get(cell.strip(), cell)
        if query != cell:
            found = f"is {_ends_of(query)} in the split; write it with the same outer blanks"
            self.problem("captions with other outer blanks", f"line {line}: {_ends_of(cell)} {found}")
        if query not in self._queries:
            if query.strip() in self._captions:
                found = f"is a caption of the split, but no query of {self._listed}; leave the row out"
                self.problem(f"captions that are no queries of {self._listed}", f"line {line}: {_shown(cell)} {found}")
            else:
                found = "is no caption of the split; write it exactly as in the split"
                self.problem("rows that are no captions of the split", f"line {line}: {_shown(cell)} {found}")
            return
        if not self._missing[query]:
            self.problem("repeated captions", f"line {line}: the caption {_shown(query)} occurs again")
            return
        self._missing[query] -= 1

    def _names(self, line: int, where: str, names: Sequence[str]) -> None:
        counts = Counter(names)
        unknown = [name for name in counts if name not in self._known_files]
        twice = [name for name, count in counts.items() if count > 1]
        if unknown:
            found = f"{where} names {len(unknown)} files that are no clips: {_list(unknown)}"
            self.problem("rows that name files that are no clips", f"line {line}: {found}")
        if twice:
            found = f"{where} names {len(twice)} files more than once: {_list(twice)}"
            self.problem("rows that name a file more than once", f"line {line}: {found}")
        self.named.update(name for name in counts if name in self._known_files)

    def _scores(self, line: int, cells: Sequence[str]) -> None:
        values = numbers_in(cells)
        if values is not None and np.isfinite(values).all():
            return
        names = [*self._header[1:], *[""] * len(cells)]
        for name, cell in zip(names, cells, strict=False):
            value = number_in(cell)
            if value is None or not math.isfinite(value):
                expected = "a number" if value is None else "a finite number"
                kind = f"scores that are not {'numbers' if value is None else 'finite'}"
                self.problem(kind, f"line {line}: the score of {_shown(name)} is {_shown(cell)}, expected {expected}")


def _ends_of(text: str) -> str:
    """Show both ends of a text, where its outer blanks are."""
    return repr(text if len(text) <= 80 else f"{text[:38]}...{text[-38:]}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(_shown(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown}, ..."
