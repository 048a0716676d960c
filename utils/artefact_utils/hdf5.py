"""HDF5 files, written complete or not at all, also when the disk refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.files import check_is_file, errno_of, unreadable
from utils.artefact_utils.ownership import Known, known_hdf5
from utils.cli_utils import ArtefactError

_MOST_CACHE_BYTES = 128 * 2**20  # that HDF5 allows


@contextlib.contextmanager
def replacing_hdf5(path: Path, known: Known | None = known_hdf5) -> Iterator[tuple[h5py.File, Disk]]:
    """An HDF5 file to write to, and the disk below it, to be checked now and then.

    The file becomes `path` when the block ends well, and is removed when it does not.

    Args:
        path: of the file.
        known: as `replacing` takes it.

    Raises:
        ForeignFileError: a file of another program is there.
        OSError: the disk refused, with its own errno.
    """
    with replacing(path, known) as beside, Disk(beside) as disk:
        with h5py.File(disk, "w") as file:
            _let_cache_grow(file)
            yield file, disk
        disk.check()


def open_hdf5(path: Path, repair: str) -> h5py.File:
    """The file, to read; without a lock, which some disks do not grant and a complete file does not need.

    Raises:
        ArtefactError: missing, or not a complete HDF5 file; `repair` is the command that writes it.
        UnreadableError: the disk or its permissions refuse to read it.
    """
    check_is_file(path, f"write it: {repair}")
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        number = errno_of(error)
        if number:
            raise unreadable(path, number) from error
        raise ArtefactError(f"{path}: not a complete HDF5 file; write it again: {repair}") from error
    _let_cache_grow(file)
    return file


def _let_cache_grow(file: h5py.File) -> None:
    """Let HDF5 keep more of a file's structure in memory than its usual 32 MB, as far as it finds a use for it.

    The names of all datasets are one entry of that cache. Those of a million clips take 24 MB, and would be read anew
    for every clip.
    """
    config = file.id.get_mdc_config()
    config.max_size = max(config.max_size, _MOST_CACHE_BYTES)
    file.id.set_mdc_config(config)


@contextlib.contextmanager
def reading(path: Path, repair: str) -> Iterator[None]:
    """Reads of an open file, whose inside may be broken though it opened.

    Raises:
        ArtefactError: HDF5 stumbled; `repair` is the command that writes the file.
        UnreadableError: the disk refused.
    """
    try:
        yield
    except (RuntimeError, KeyError, ValueError, TypeError, MemoryError, OSError) as error:
        number = errno_of(error) if isinstance(error, OSError) else None
        if number:
            raise unreadable(path, number) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtefactError(f"{path}: broken inside ({reason}); write it again: {repair}") from error


def attributes_in(file: h5py.File, path: Path, repair: str) -> dict[str, str]:
    """The attributes of a file, as texts.

    Raises:
        ArtefactError: one is no text or whole number, but an array, a reference or a structure.
    """
    attributes: dict[str, str] = {}
    with reading(path, repair):
        for name in file.attrs:
            kind = file.attrs.get_id(name).dtype.kind
            if file.attrs.get_id(name).shape != () or (
                kind not in "iuS" and not h5py.check_string_dtype(file.attrs.get_id(name).dtype)
            ):
                raise TypeError(f"attribute {name!r} is no text")
            value = file.attrs[name]
            attributes[name] = value.decode() if isinstance(value, bytes) else str(value)
    return attributes


def mapped_bytes(path: Path) -> NDArray[np.uint8]:
    """The bytes of a file, mapped and read-only; a plain array, since slices of np.memmap cost five times as much."""
    return np.asarray(np.memmap(path, np.uint8, mode="r"))


class Disk:
    """The file below HDF5, which never hears of a full disk.

    HDF5 cannot close a file after a write that failed: it hides the errno in a RuntimeError, or crashes the process.
    Here the first refusal is kept for `check`, and what HDF5 writes after it goes nowhere.
    """

    def __init__(self, path: Path) -> None:
        """Make the file."""
        self._path = path
        self._file = path.open("w+b", buffering=0)
        self._refusal: OSError | None = None

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def check(self) -> None:
        """Raise what the disk refused, if it did.

        Raises:
            OSError: it did.
        """
        if self._refusal:
            raise OSError(self._refusal.errno, self._refusal.strerror, str(self._path))

    @contextlib.contextmanager
    def _keeping_refusal(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._refusal = self._refusal or error

    def write(self, data: memoryview) -> int:
        """Write all bytes, or pretend to."""
        rest = memoryview(data)
        with self._keeping_refusal():
            while len(rest) and not self._refusal:
                rest = rest[self._file.write(rest) :]
        return len(data)

    def truncate(self, size: int) -> None:
        """Cut or extend the file, or pretend to."""
        with self._keeping_refusal():
            if not self._refusal:
                self._file.truncate(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move; returns the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read; h5py knows a file by this method."""
        return self._file.read(size)

    def readinto(self, buffer: memoryview) -> int:
        """Read into `buffer`; returns the number of bytes."""
        return self._file.readinto(buffer)

    def flush(self) -> None:
        """Nothing is buffered."""
