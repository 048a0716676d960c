"""Submission files of DCASE's language-based audio retrieval, 2022 to 2025: written, and checked.

2022-2024   `caption,file_name_1,...,file_name_10`: the raw caption and its ten best clips
2025        a matrix: file names in the header, then a row a query: the query and its scores
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.csv_rows import begins_with_mark, check_text_file, loose_rows, not_utf8
from utils.artefact_utils.foreign_scores import number_in, ranked_header
from utils.artefact_utils.tables import write_rows

SUBMISSION_YEARS = (2022, 2023, 2024, 2025)
_MATRIX_YEAR = 2025
_SHOWN = 20
_NAMES = 10


class CheckedSubmission(NamedTuple):
    """What is wrong with a file, and how large it is."""

    problems: list[str]  # the first 20, each with its line where it has one
    total: int  # of all problems; 0: the file is right
    rows: int
    files: int  # different names that are clips of the split


def write_ranked_submission(path: Path, captions: Sequence[str], names: Iterable[Sequence[str]]) -> None:
    """Write the file of 2022 to 2024.

    Args:
        path: the CSV.
        captions: Q raw captions, exactly as the data set gives them.
        names: the best clips of each, best first, equally many: ten, or all of a smaller split.
    """
    ranked = [list(row) for row in names]
    rows = ([caption, *row] for caption, row in zip(captions, ranked, strict=True))
    write_rows(path, ranked_header(len(ranked[0])), rows)


def write_matrix_submission(
    path: Path, queries: Sequence[str], files: Sequence[str], rows: Iterable[NDArray[np.float32]]
) -> None:
    """Write the file of 2025; nine digits, which give the same float32 when they are read.

    Args:
        path: the CSV.
        queries: Q queries.
        files: C file names.
        rows: (C,) scores of each query.
    """
    cells = ([query, *(f"{value:.9g}" for value in row.tolist())] for query, row in zip(queries, rows, strict=True))
    write_rows(path, ["query", *files], cells)


def check_submission(path: Path, year: int, queries: Sequence[str], files: Sequence[str]) -> CheckedSubmission:
    """Compare a submission with what the split asks for.

    Args:
        path: the CSV.
        year: of `SUBMISSION_YEARS`.
        queries: every query that the file must hold, as often as it must; outer blanks do not count.
        files: the names of all clips.
    Raises:
        ArtefactError: there is no such file, or it is UTF-16.
    """
    check_text_file(path)
    check = _Check(queries, files)
    if begins_with_mark(path):
        check.problem("line 1: begins with a byte order mark (BOM); save the file as UTF-8 without one")
    line = 1
    try:
        for number, (line, cells) in enumerate(loose_rows(path)):
            check.encoding(line, cells)
            if number == 0:
                check.header(line, cells, year)
            else:
                check.row(line, cells)
    except csv.Error as error:
        check.problem(f"line {line} or later: not CSV ({error}); a quote may never be closed")
    check.end()
    return CheckedSubmission(check.problems, check.total, check.rows, len(check.named))


class _Check:
    """Goes through a file, line by line, and notes what is wrong."""

    def __init__(self, queries: Sequence[str], files: Sequence[str]) -> None:
        self.problems: list[str] = []
        self.total = 0
        self.rows = 0
        self.named: set[str] = set()
        self._missing = Counter(query.strip() for query in queries)
        self._queries = set(self._missing)
        self._number_of_queries = len(queries)
        self._files = list(files)
        self._known_files = set(files)
        self._ranked = True
        self._header: list[str] = []

    def problem(self, text: str) -> None:
        """Count a problem; the first ones are kept."""
        self.total += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(text)

    def encoding(self, line: int, cells: list[str]) -> None:
        """Every byte must be UTF-8."""
        strange = not_utf8(cells)
        if strange:
            self.problem(f"line {line}: {strange}")

    def header(self, line: int, cells: list[str], year: int) -> None:
        """The first row: fixed names, or one column a clip."""
        self._ranked = year != _MATRIX_YEAR
        self._header = cells
        if self._ranked:
            self._header = ranked_header(min(_NAMES, len(self._files)))
            if cells != self._header:
                expected = f"caption,file_name_1,...,{self._header[-1]}"
                self.problem(f"line {line}: the header is {_shown(','.join(cells))}, expected {expected}")
            return
        names = cells[1:]
        self._names(line, "the header", names)
        missing = [name for name in self._files if name not in self.named]
        if missing:
            self.problem(f"line {line}: {len(missing)} of {len(self._files)} clips have no column: {_list(missing)}")

    def row(self, line: int, cells: list[str]) -> None:
        """A query and its ten clips, or its scores."""
        self.rows += 1
        self._query(line, cells[0])
        if len(cells) != len(self._header):
            what = "file names" if self._ranked else "scores"
            self.problem(f"line {line}: {len(cells) - 1} {what}, expected {len(self._header) - 1}")
        if self._ranked:
            empty = sum(not name.strip() for name in cells[1:])
            if empty:
                self.problem(f"line {line}: {empty} file names are empty")
            self._names(line, "the row", [name for name in cells[1:] if name.strip()])
        else:
            self._scores(line, cells[1:])

    def end(self) -> None:
        """What the whole file lacks."""
        if not self._header:
            self.problem("line 1: the file is empty, expected a header")
        if self.rows != self._number_of_queries:
            self.problem(f"the whole file: {self.rows} rows, expected {self._number_of_queries}")
        missing = [query for query, count in self._missing.items() if count > 0]
        if missing:
            self.problem(f"the whole file: {len(missing)} captions are missing: {_list(missing)}")

    def _query(self, line: int, cell: str) -> None:
        query = cell.strip()
        if query not in self._queries:
            self.problem(f"line {line}: {_shown(cell)} is no caption of the split; write it exactly as it is given")
            return
        if not self._missing[query]:
            self.problem(f"line {line}: the caption {_shown(query)} stands again")
            return
        self._missing[query] -= 1

    def _names(self, line: int, where: str, names: Sequence[str]) -> None:
        counts = Counter(names)
        unknown = [name for name in counts if name not in self._known_files]
        twice = [name for name, count in counts.items() if count > 1]
        if unknown:
            self.problem(f"line {line}: {where} names {len(unknown)} files that are no clips: {_list(unknown)}")
        if twice:
            self.problem(f"line {line}: {where} names {len(twice)} files more than once: {_list(twice)}")
        self.named.update(name for name in counts if name in self._known_files)

    def _scores(self, line: int, cells: Sequence[str]) -> None:
        try:
            if np.isfinite(np.fromiter(map(float, cells), np.float64, len(cells))).all():
                return
        except ValueError:
            pass  # the search below names the cells
        names = [*self._header[1:], *[""] * len(cells)]
        for name, cell in zip(names, cells, strict=False):
            value = number_in(cell)
            if value is None or not math.isfinite(value):
                expected = "a number" if value is None else "a finite number"
                self.problem(f"line {line}: the score of {_shown(name)} is {_shown(cell)}, expected {expected}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(_shown(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown}, ..."
