"""Tables whose captions break the rules of TSV and CSV: stray tabs, quotes and line ends; nothing is lost or shifted.

A reader that trusts quotes swallows rows after an unbalanced one, and one that trusts tabs shifts columns after a
surplus one. Here every line is a row; what is repaired is counted, what cannot be is listed.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import check_columns
from utils.cli_utils import UserError
from utils.dataset_utils.clips import Rejected

QUOTE = '"'
# Captions that table readers take for missing values.
_LIKE_MISSING = {"none", "na", "n/a", "nan", "null"}
_DELIMITERS = {"\t": ("tab", "tabs"), ",": ("comma", "commas"), ";": ("semicolon", "semicolons")}


@dataclass(frozen=True)
class TableForm:
    """What a table must be.

    Attributes:
        delimiter: a tab, a comma or a semicolon; properly quoted fields may hold the last two.
        columns: that are needed; the last one holds the captions. Others may be among them, in any order.
        plausible: whether values, by column, may be those of a row; it decides where columns are in a row of too many
            fields, and whether a line of a CSV starts a row.
        surplus: whether surplus fields belong to the caption; where several columns hold captions, it is not
            known to which, and such rows are refused.
    """

    delimiter: str
    columns: tuple[str, ...]
    plausible: Callable[[Mapping[str, str]], bool]
    surplus: bool = True


class TableRow(NamedTuple):
    """One row."""

    line: int  # of the file, from 1
    values: dict[str, str]  # by column; outer blanks are removed, but for those of a caption that needs no repair


class LooseTable(NamedTuple):
    """What was read, what cannot be, and what was repaired."""

    rows: list[TableRow]
    refused: list[Rejected]  # rows with too few fields
    repairs: Counter[str]  # kind -> rows


def read_loose_table(path: Path, form: TableForm) -> LooseTable:
    """Read a table, repairing what its captions break.

    - Surplus fields belong to the caption; surplus delimiters at the end of a row are dropped.
    - A caption that is quoted as a whole is unquoted. An unbalanced quote at its start or end is dropped.
    - A caption whose quote is open goes on in the next line if that does not start a row: in a TSV if it has no
      tab, in a CSV if it is no plausible row and the quote is closed before one.
    - "None", "NA" and the like are captions.

    Returns:
        Every row that has its fields, those that have not, and the repairs.
    Raises:
        UserError: not UTF-8, or a column is missing or occurs twice.
    """
    lines = _lines(path)
    columns = _columns(path, lines[0], form)
    layout = _Layout(form, columns)
    table = LooseTable([], [], Counter())
    number = 1  # lines[0] is the header
    while number < len(lines):
        count = 1 + _continuing(lines, number, layout)
        _read_row(path, lines[number : number + count], number + 1, layout, table)
        number += count
    return table


class _Layout:
    """The positions of the columns of a table."""

    def __init__(self, form: TableForm, columns: Sequence[str]) -> None:
        self.form = form
        self.columns = columns
        self.caption = columns.index(form.columns[-1])
        self.least = 1 + max(columns.index(column) for column in form.columns)  # fields of the shortest row

    def values(self, fields: Sequence[str], dropped: int = 0) -> dict[str, str]:
        """Fields by column: the last `dropped` are left out, a surplus belongs to the caption."""
        fields = fields[: len(fields) - dropped]
        surplus = max(0, len(fields) - len(self.columns))
        first, last = self.caption, self.caption + 1 + surplus
        fields = [*fields[:first], self._join(fields[first:last]), *fields[last:]]
        fields += [""] * (len(self.columns) - len(fields))
        caption = self.columns[self.caption]
        return {
            column: field if column == caption else _unquoted(field.strip())
            for column, field in zip(self.columns, fields, strict=True)
        }

    def _join(self, parts: Sequence[str]) -> str:
        if self.form.delimiter != "\t":
            return self.form.delimiter.join(parts)
        if len(parts) == 1:
            return parts[0]
        return " ".join(part.strip() for part in parts if part.strip())

    def place(self, fields: Sequence[str]) -> tuple[dict[str, str], int]:
        """Values by column of a row with enough fields, and how many empty ones at its end were left out."""
        surplus = max(0, len(fields) - len(self.columns))
        empty = next((n for n in range(surplus) if fields[-1 - n].strip()), surplus)
        if self.caption == len(self.columns) - 1:
            return self.values(fields, empty), empty
        # an empty last column, or a surplus tab? decided by whether the other columns are then plausible
        for dropped in range(empty + 1):
            values = self.values(fields, dropped)
            if self.form.plausible(values):
                return values, dropped
        return self.values(fields, empty), empty

    def starts_row(self, line: str) -> bool:
        """Whether a line that follows an open quote is a row of its own."""
        if self.form.delimiter == "\t":
            return "\t" in line
        fields = line.split(self.form.delimiter)
        return len(fields) >= self.least and self.form.plausible(self.place(fields)[0])

    def well_formed(self, line: str) -> list[str]:
        """The fields of a line of a CSV that breaks no rule; empty for any other line."""
        if self.form.delimiter == "\t" or line.count(QUOTE) % 2:
            return []
        try:
            fields = next(csv.reader([line], delimiter=self.form.delimiter, strict=True), [])
        except csv.Error:
            return []
        return fields if len(fields) == len(self.columns) else []


def _lines(path: Path) -> list[str]:
    """The lines; at least one."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}: not a table in UTF-8 (line {line}: {error.reason}); save it as UTF-8") from error
    # not splitlines(): captions may hold the rarer line separators of Unicode
    return [line.removesuffix("\r") for line in text.split("\n")]


def _columns(path: Path, header: str, form: TableForm) -> list[str]:
    columns = [_unquoted(column.strip()) for column in header.rstrip(form.delimiter).split(form.delimiter)]
    check_columns(path, columns)
    missing = [column for column in form.columns if column not in columns]
    if missing:
        between = _DELIMITERS[form.delimiter][1]
        raise UserError(
            f"{path}: column {', '.join(missing)} is missing: found the columns {', '.join(filter(None, columns))}, "
            f"expected {', '.join(form.columns)} with {between} between them; correct the first line"
        )
    # a column without a name is named by its position
    return [column or f"#{place}" for place, column in enumerate(columns)]


def _continuing(lines: Sequence[str], start: int, layout: _Layout) -> int:
    """How many of the next lines go on with the caption of `lines[start]`, whose quote is open."""
    quotes = lines[start].count(QUOTE)
    stop = start + 1
    while quotes % 2 and stop < len(lines) and not layout.starts_row(lines[stop]):
        quotes += lines[stop].count(QUOTE)
        stop += 1
    if quotes % 2 and layout.form.delimiter != "\t":
        return 0  # never closed: a stray quote; in a CSV, too short a row looks like such a line
    while not lines[stop - 1].strip():  # blank lines before the next row are no caption
        stop -= 1
        if stop == start:
            return 0
    return stop - start - 1


def _read_row(path: Path, lines: Sequence[str], number: int, layout: _Layout, table: LooseTable) -> None:
    """Add a row, which starts at line `number` of the file, to the table."""
    line = " ".join(part.strip(" ") for part in lines if part.strip()) if len(lines) > 1 else lines[0]
    fields = layout.well_formed(line)
    is_well_formed = bool(fields)
    fields = fields or line.split(layout.form.delimiter)
    if not any(field.strip() for field in fields):
        return
    if len(fields) < layout.least:
        needs = f"{len(fields)} fields, a row has {len(layout.columns)}"
        table.refused.append(Rejected("caption", f"{path.name} line {number}", needs))
        return
    one, many = _DELIMITERS[layout.form.delimiter]
    values, dropped = layout.place(fields)
    if not layout.form.surplus and len(fields) - dropped > len(layout.columns):
        reason = (
            f"{len(fields) - dropped} fields, the header has {len(layout.columns)}; put captions with {many} in quotes"
        )
        table.refused.append(Rejected("caption", f"{path.name} line {number}", reason))
        return
    caption = layout.form.columns[-1]
    kinds = [f"{one} within the caption"] if len(fields) - dropped > len(layout.columns) else []
    kinds += [f"{many} at the end"] if dropped else []
    kinds += ["caption over several lines"] if len(lines) > 1 and not is_well_formed else []
    if not is_well_formed:
        tidy, quotes = _tidy(values[caption].strip())
        values[caption] = tidy if kinds or quotes else values[caption]
        kinds += quotes
    kinds += ["caption such as None or NA"] if values[caption].strip().casefold() in _LIKE_MISSING else []
    table.repairs.update(kinds)
    table.rows.append(TableRow(number, values))


def _tidy(caption: str) -> tuple[str, list[str]]:
    """A caption without the quotes that are not its own, and the kind of repair."""
    plain = _unquoted(caption)
    if plain != caption:
        return plain.strip(), ["caption in quotes"]
    if caption.count(QUOTE) % 2 == 0:
        return caption, []
    if caption.startswith(QUOTE):
        caption = caption[1:]
    elif caption.endswith(QUOTE):
        caption = caption[:-1]
    return caption.strip(), ["unbalanced quote"]


def _unquoted(field: str) -> str:
    """The content of a field that is quoted as a whole, as CSV quotes; any other field as it is."""
    inner = field[1:-1].replace(QUOTE * 2, "")
    if len(field) < 2 or field[0] != QUOTE or field[-1] != QUOTE or QUOTE in inner:
        return field
    return field[1:-1].replace(QUOTE * 2, QUOTE)
