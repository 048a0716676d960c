"""The door of all lists: a CSV, folders named by category, or a table of metadata -> rows of one kind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import BYTE_ORDER_MARK, check_columns, delimiter_of, strict_rows
from utils.artefact_utils.files import check_is_file
from utils.cli_utils import UserError, printable
from utils.dataset_utils.download_failures import Failure
from utils.dataset_utils.file_names import FileNames, audio_below, describe_ways, linked_folders
from utils.dataset_utils.music import tidy
from utils.dataset_utils.music_splits import names_a_split
from utils.dataset_utils.video_list import ListedRecording, check_categories, checked, id_of, read_video_list

METADATA = ("metadata.csv", "metadata.jsonl")
# of audiofolder, ESC-50 and UrbanSound8K, in this order
_FILES = ("file_name", "filename", "slice_file_name")
_LABELS = ("category", "label", "class")
# What clips were cut from: those of one source, as of one channel, belong to one split.
_SOURCES = ("channel", "src_file", "fsid")


class RecordingList(NamedTuple):
    """What a list names.

    Attributes:
        recordings: addresses, and files that are there.
        missing: files that are not.
        understood: lines on how the list was read.
    """

    recordings: list[ListedRecording]
    missing: list[Failure]
    understood: list[str]


def read_recordings(root: Path, table: Path | None) -> RecordingList:
    """Read the list of a data set.

    Args:
        root: the folder of the data; local files are below it, however the list spells their names.
        table: a CSV of addresses or files, or a table of metadata; None: the table of metadata in the root or in its
            folders of splits, else folders named by category.
    Raises:
        UserError: as `read_video_list`, and: no audio file below the root where the list names files.
    """
    if table is not None:
        if _is_metadata(table):
            return _of_metadata(root, [table])
        return _with_files(root, read_video_list(table), f"{table.name}: ")
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; name the folder of the recordings, or a list of addresses: data.table"
        )
    folders = [root, *(folder for folder in sorted(root.iterdir()) if names_a_split(folder.name))]
    if tables := [folder / name for folder in folders for name in METADATA if (folder / name).is_file()]:
        return _of_metadata(root, tables)
    return _of_folders(root)


def _is_metadata(table: Path) -> bool:
    """Whether a table names files as audiofolder does."""
    if table.suffix.lower() == ".jsonl":
        return True
    header = next(strict_rows(table, delimiter_of(table, _FILES)), (1, []))[1]
    return any(column.strip().casefold() in _FILES for column in header)


def _with_files(root: Path, listed: Sequence[ListedRecording], title: str) -> RecordingList:
    """Find the local files of a list below the root; nothing outside of it is ever found."""
    local = [recording for recording in listed if recording.path]
    urls = len(listed) - len(local)
    line = f"{title}{urls} addresses and {len(local)} files"
    if not local:
        return RecordingList(list(listed), [], [line])
    files = audio_below(root) if root.is_dir() else []
    if not files:
        raise UserError(
            f"{local[0].where}: '{printable(local[0].path)}' is no address, and {root} holds no audio files; write "
            "addresses with https://, or name the folder of the files: data.root"
        )
    found = FileNames(root, files).find([recording.path for recording in local])
    paths = dict(zip(local, found.files, strict=True))
    recordings, missing = [], []
    for recording in listed:
        file = paths.get(recording)
        if isinstance(file, str):
            reason = file.partition("': ")[2]
            missing.append(Failure(recording.id, recording.category, recording.path, "no such file", reason))
        else:
            recordings.append(recording._replace(path=file.relative_to(root).as_posix()) if file else recording)
    if missing:  # what is left may be spelled in two ways, or too little
        check_categories(recordings, " among the files that are there")
    ways = f"; file names: {describe_ways(found.ways)}" if found.ways else ""
    return RecordingList(checked(recordings), missing, [line + ways])


def _of_metadata(root: Path, tables: Sequence[Path]) -> RecordingList:
    listed = []
    for table in tables:
        folder = table.parent.relative_to(root).as_posix() if table.parent.is_relative_to(root) else "."
        split = folder if names_a_split(folder) else ""
        rows = list(_jsonl(table) if table.suffix.lower() == ".jsonl" else _csv(table))
        if not split and not any(_is_beside(table, _first(row, _FILES)) for _, row in rows):
            folder = "."  # a folder of tables alone, such as ESC-50's meta
        for where, row in rows:
            file, category, source = (_first(row, columns) for columns in (_FILES, _LABELS, _SOURCES))
            path = file if folder == "." else f"{folder}/{file}"
            of_split = split or _split_of(path)
            found = ListedRecording("", category, "", path, tidy(source), split=of_split, where=where)
            listed.append(found._replace(id=id_of(found)))
    if not listed:
        raise UserError(f"{tables[0]}: has no row below its header; add recordings")
    return _with_files(root, checked(listed), f"{', '.join(table.name for table in tables)}: ")


def _is_beside(table: Path, name: str) -> bool:
    return os.path.isfile(table.parent / name)  # noqa: PTH113 - `Path.is_file` refuses names that no file system takes


def _first(row: dict[str, str], columns: Sequence[str]) -> str:
    return next((row[column] for column in columns if row.get(column, "").strip()), "")


def _csv(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    rows = strict_rows(table, delimiter_of(table, _FILES))
    columns = [column.strip().casefold() for column in next(rows, (1, []))[1]]
    check_columns(table, columns)
    for line, cells in rows:
        if any(map(str.strip, cells)):
            where = f"{table}, line {line}"
            yield where, _checked_row(where, dict(zip(columns, cells, strict=False)))


def _jsonl(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    check_is_file(table, "name a table of files")
    with table.open("rb") as stream:
        for number, content in enumerate(stream, 1):
            where = f"{table}, line {number}"
            try:
                row = json.loads(content.decode().removeprefix(BYTE_ORDER_MARK)) if content.strip() else None
            except (ValueError, RecursionError) as error:
                raise UserError(f"{where}: not JSON in UTF-8 ({error}); write one object a line") from error
            if row is None:
                continue
            if not isinstance(row, dict):
                raise UserError(f"{where}: found no object, expected {{'file_name': ..., 'category': ...}}; correct it")
            yield where, _checked_row(where, {key: str(value) for key, value in row.items() if _is_name(value)})


def _is_name(value: object) -> bool:
    """Whether a value may be a category: also a number of a class, as JSON has it."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def _checked_row(where: str, row: dict[str, str]) -> dict[str, str]:
    missing = [" or ".join(columns) for columns in (_FILES, _LABELS) if not _first(row, columns)]
    if missing:
        raise UserError(
            f"{where}: has no text in {' and in '.join(missing)}; found {printable(', '.join(row)) or 'nothing'}; "
            "correct it"
        )
    return row


def _of_folders(root: Path) -> RecordingList:
    listed = []
    for file in audio_below(root):
        path = file.relative_to(root).as_posix()
        split = _split_of(path)
        folders = Path(path).parts[bool(split) : -1]
        if not folders:
            raise UserError(
                f"{file}: is in no folder named by its category; expected category/{printable(file.name)}, or name a "
                "list: data.table"
            )
        found = ListedRecording("", folders[0], path=path, split=split, where=str(file.parent))
        listed.append(found._replace(id=id_of(found)))
    left_out = _linked(root)
    if not listed:
        why = left_out or "no audio files in its folders"
        raise UserError(f"{root}: {why}; expected category/clip.wav, or name a list: data.table")
    recordings = checked(listed)
    names = sorted({recording.category for recording in recordings})
    line = f"categories: the names of the {len(names)} folders of {root.name}"
    return RecordingList(recordings, [], [line, left_out] if left_out else [line])


def _linked(root: Path) -> str:
    """What is left out since it is behind a link; empty if nothing is."""
    links = [printable(link.relative_to(root).as_posix()) for link in linked_folders(root)]
    if not links:
        return ""
    more = f" and {len(links) - 3} more" if len(links) > 3 else ""
    return f"folders that are links are not searched: {', '.join(links[:3])}{more}; link their files, or copy them"


def _split_of(path: str) -> str:
    """The split that the first folder of a path is named after; empty if it is none."""
    first = tidy(path.replace("\\", "/").partition("/")[0])
    return first if "/" in path and names_a_split(first) else ""
