"""Rows of a CSV of another program, or of `write_rows`, each with its line number."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.files import check_is_file, reading_bytes
from utils.cli_utils import ArtefactError

BYTE_ORDER_MARK = "\ufeff"
MAX_COLUMNS = 1000
_BYTE = re.compile(r"\\udc([89a-f][0-9a-f])")  # of a name that is not UTF-8, as `write_rows` writes it
Row = tuple[int, list[str]]  # the line on which it begins, from 1; its cells


def check_text_file(path: Path) -> None:
    """Make sure that there is a file to read, and that it is no UTF-16, of which every line would be wrong.

    Raises:
        ArtefactError: there is none, or it is UTF-16.
    """
    check_is_file(path, "name a CSV file")
    with reading_bytes(path), path.open("rb") as stream:
        if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise ArtefactError(f"{path}: is UTF-16, expected UTF-8; save it as UTF-8")


def begins_with_mark(path: Path) -> bool:
    """Whether the file begins with a byte order mark, as spreadsheets write it."""
    with path.open("rb") as stream:
        return stream.read(3) == BYTE_ORDER_MARK.encode()


def loose_rows(path: Path, delimiter: str = ",") -> Iterator[Row]:
    """Yield the rows without blank lines and byte order mark; bytes that are not UTF-8 become surrogates.

    Raises:
        csv.Error: a cell is too long to be one, since a quote is never closed.
    """
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        if stream.read(1) != BYTE_ORDER_MARK:
            stream.seek(0)
        reader = csv.reader(stream, delimiter=delimiter)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1


def strict_rows(path: Path, delimiter: str = ",") -> Iterator[Row]:
    """The rows, as `loose_rows`, all UTF-8.

    Raises:
        ArtefactError: the file is missing, not UTF-8, or not CSV.
    """
    check_text_file(path)
    try:
        for line, cells in loose_rows(path, delimiter):
            strange = not_utf8(cells)
            if strange:
                raise ArtefactError(f"{path}, line {line}: {strange}, expected UTF-8; save it as UTF-8")
            yield line, cells
    except csv.Error as error:
        raise ArtefactError(f"{path}: not a CSV table ({error}); close every quote") from error


def delimiter_of(path: Path, columns: Collection[str]) -> str:
    """What is between the cells of a table: a comma, or the semicolons or tabs of a spreadsheet.

    Args:
        path: of the table.
        columns: in small letters; a header has at least one of them.
    Raises:
        ArtefactError: see `strict_rows`.
    """
    for delimiter in ",;\t":
        header = next(strict_rows(path, delimiter), (1, []))[1]
        if any(column.strip().casefold() in columns for column in header):
            return delimiter
    return ","


def own_rows(path: Path, columns: Sequence[str], repair: str) -> list[Row]:
    """The rows of a table of `write_rows`, without its header.

    Args:
        path: of the table.
        columns: that it must have.
        repair: the command that makes it, for messages.
    Raises:
        ArtefactError: it is missing, has other columns, or a row with more or fewer cells.
    """
    check_is_file(path, f"write it: {repair}")
    (_, found), *rows = list(strict_rows(path)) or [(1, [])]
    if found != list(columns):
        raise ArtefactError(
            f"{path}: found the columns {', '.join(found) or 'none'}, expected {', '.join(columns)}; write it again: "
            f"{repair}"
        )
    for line, cells in rows:
        if len(cells) != len(columns):
            raise ArtefactError(
                f"{path}, line {line}: found {len(cells)} cells, expected {len(columns)}; write it again: {repair}"
            )
    return rows


def file_name_in(cell: str) -> str:
    """The name or path that a cell of `write_rows` holds: bytes that are not UTF-8 are escaped there."""
    return _BYTE.sub(lambda byte: chr(int(f"dc{byte[1]}", 16)), cell)


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Check that the column names of a table of captions or labels are distinct.

    Raises:
        ArtefactError: a name occurs twice, or there are more columns than such a table has: a header of 10^5 columns
            would make as many empty cells of every short row.
    """
    if len(columns) > MAX_COLUMNS:
        raise ArtefactError(f"{path}: {len(columns)} columns, expected at most {MAX_COLUMNS}; leave out the others")
    twice = sorted(column for column, count in Counter(columns).items() if column and count > 1)
    if twice:
        raise ArtefactError(f"{path}: the column {', '.join(twice)} occurs twice; rename one")


def not_utf8(cells: list[str]) -> str | None:
    """Which byte of these cells is not UTF-8 text, such as 'byte 0xe9 is not UTF-8'; None if all are."""
    if any("\0" in cell for cell in cells):
        return "byte 0x00 is no text"
    try:
        "".join(cells).encode()
    except UnicodeEncodeError as error:
        return f"byte 0x{ord(error.object[error.start]) - 0xDC00:02x} is not UTF-8"
    return None


def shortened(text: str) -> str:
    """The beginning of a text, for messages."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def number_in(cell: str) -> float | None:
    """The number that a cell holds, which may be NaN or infinite; None if it holds none.

    What only Python takes for a number, such as `1_0` or digits of another script, is none.
    """
    if "_" in cell or not cell.isascii():
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def numbers_in(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """(N,) the numbers of cells, as `number_in` reads each; None if a cell holds none."""
    together = "".join(cells)
    if "_" in together or not together.isascii():
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None


def read_lines(path: Path) -> list[str]:
    """The lines of a list of ids, one an id; spaces around an id are not stripped, since they may belong to it.

    Raises:
        ArtefactError: the file is missing, not UTF-8, or has an empty line.
    """
    check_is_file(path, "give a list of ids, one a line")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    empty = next((number for number, line in enumerate(lines, 1) if not line.strip()), None)
    if empty is not None:
        raise ArtefactError(f"{path}, line {empty}: is empty, expected an id; remove the line, or write the id")
    return lines
