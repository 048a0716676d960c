"""archive.csv: the recordings that were fetched, by our own ids; a row is added for each, so that a kill loses none."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from utils.artefact_utils.csv_rows import file_name_in, number_in, strict_rows
from utils.cli_utils import UserError, printable
from utils.dataset_utils.one_download import Fetched, FetchSettings
from utils.dataset_utils.video_list import ListedRecording


class Archive:
    """The fetched recordings of a folder; for one process at a time.

    Args:
        settings: of the fetching; the table is archive.csv in its root.
    Raises:
        UserError: the table is of another program, or broken.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._path = settings.root / "archive.csv"
        self._rows: dict[str, Fetched] = {}
        if self._path.exists():
            _drop_torn_row(self._path)
            self._rows = {row.id: row for row in _read(self._path)}

    def find(self, recording: ListedRecording) -> Fetched | None:
        """The recording, if it was fetched from this address and its file is there, whole."""
        row = self._rows.get(recording.id)
        wanted = (recording.url or recording.path, recording.start_s, recording.end_s)
        if row is None or (row.url, row.start_s, row.end_s) != wanted:
            return None
        file = self._settings.file(row.id)
        return row if file.is_file() and file.stat().st_size == row.bytes else None

    def add(self, row: Fetched) -> None:
        """Append a row, on the disk when this returns."""
        text = io.StringIO()
        is_new = not self._path.exists() or self._path.stat().st_size == 0
        csv.writer(text).writerows([*([Fetched._fields] if is_new else []), row])
        with self._path.open("ab") as stream:
            stream.write(text.getvalue().encode("utf-8", "backslashreplace"))
            stream.flush()
            os.fsync(stream.fileno())
        self._rows[row.id] = row


def _drop_torn_row(path: Path) -> None:
    """Remove what a killed process wrote of a row: what follows the last line end."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content) and content.startswith(b"id,"):
        os.truncate(path, whole)


def _read(path: Path) -> list[Fetched]:
    rows = []
    for number, (line, cells) in enumerate(strict_rows(path)):
        if number == 0:
            if tuple(cells) != Fetched._fields:
                raise UserError(
                    f"{path}: found the columns {printable(', '.join(cells))}, expected {', '.join(Fetched._fields)}: "
                    "is of another program; move it away"
                )
            continue
        row = _row(cells)
        if row is None:
            raise UserError(f"{path}, line {line}: is no row of a fetched recording; remove the line")
        rows.append(row)
    return rows


def _row(cells: list[str]) -> Fetched | None:
    if len(cells) != len(Fetched._fields):
        return None
    found = dict(zip(Fetched._fields, cells, strict=True))
    start_s, duration_s, size = (number_in(found[name]) for name in ("start_s", "duration_s", "bytes"))
    end_s = number_in(found["end_s"]) if found["end_s"] else None
    if start_s is None or duration_s is None or size is None or not size.is_integer():
        return None
    if found["end_s"] and end_s is None:
        return None
    return Fetched(found["id"], file_name_in(found["url"]), start_s, end_s, found["channel"], duration_s, int(size))
