"""Which files this project wrote: no script replaces another one.

A file is recognised by its content, so that copies and files of earlier versions are recognised too:
the format version in the attributes of an HDF5 file, in the notes of a pickle and in a file of weights; the header of
a table; the keys of a JSON file. A file that is too broken is not recognised.
"""

from __future__ import annotations

import csv
import json
import mmap
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import h5py

from utils.artefact_utils.files import errno_of, is_there, reading_bytes
from utils.cli_utils import UserError

Known = Callable[[Path], bool]

# The first key of the notes that `dump_pickle` writes behind the data, and the bytes between them in protocol 5.
_FIRST_KEY = b"\x8c\x0eformat_version"
_BEFORE_IT = re.compile(rb".*\.\x80\x05\x95.{8}\}\x94\(?", re.DOTALL)
_HEADER_BYTES = 2**16
_SMALL_BYTES = 2**24


class ForeignFileError(UserError):
    """A script would replace a file that this project did not write."""


def refuse_foreign(path: Path, known: Known, repair: str = "write to another place") -> None:
    """Make sure that `path` may be written: there is nothing, an empty file, or one of this project's.

    Args:
        path: of the file to write.
        known: whether a file is of this project.
        repair: what else to do about a foreign one, for messages.

    Raises:
        ForeignFileError: another program's file is there, or one that is broken.
        UnreadableError: the disk or its permissions refuse the check.
    """
    if not is_there(path) or (path.is_file() and not path.stat().st_size):
        return
    with reading_bytes(path):
        if path.is_file():
            path.open("rb").close()  # a file that may not be read is not known either, but for another reason
        if path.is_file() and known(path):
            return
    found = "a folder" if path.is_dir() else "a file of another program, or a broken one"
    raise ForeignFileError(f"{path}: is {found}, which is never replaced; {repair}, or move it away")


def known_hdf5(path: Path) -> bool:
    """Whether an HDF5 file has a format version."""
    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r", locking=False) as file:
            return "format_version" in file.attrs
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and errno_of(error):
            raise
        return False  # truncated


def known_pickle(path: Path) -> bool:
    """Whether a pickle is followed by notes with a format version."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.rfind(_FIRST_KEY)
        return at > 0 and _BEFORE_IT.fullmatch(content[max(0, at - 32) : at]) is not None


def known_weights(path: Path) -> bool:
    """Whether a file of `torch.save` begins with a format version, as `write_weights` begins it, whole or not."""
    with path.open("rb") as stream:
        start = stream.read(512)
    return (
        start.startswith(b"PK\x03\x04") and b"X\x0e\x00\x00\x00format_version" in start
    )  # torch has a member of this name


def known_table(columns: Sequence[str]) -> Known:
    """Whether a CSV file has these columns, in this order."""
    return partial(_has_columns, list(columns))


def known_matrix(first: str) -> Known:
    """Whether the first column of a CSV file, whose other columns may be any, has this name."""
    return partial(_has_columns, [first], count=1)


def _has_columns(columns: list[str], path: Path, count: int | None = None) -> bool:
    with path.open("rb") as stream:
        start = stream.read(_HEADER_BYTES).decode("utf-8-sig", "replace")
    try:
        return next(csv.reader(start.splitlines()[:1]), [])[:count] == columns
    except csv.Error:
        return False


def known_json(keys: Collection[str]) -> Known:
    """Whether a JSON file is an object that has one of these keys."""
    return partial(_has_keys, frozenset(keys))


def _has_keys(keys: frozenset[str], path: Path) -> bool:
    if path.stat().st_size > _SMALL_BYTES:
        return False
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return found in ({}, []) or (isinstance(found, dict) and not keys.isdisjoint(found))  # nothing would be lost
