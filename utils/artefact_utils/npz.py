"""Arrays of an npz file from an untrusted source: no larger than the file can hold, and without Python objects."""

from __future__ import annotations

import contextlib
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from utils.artefact_utils.files import check_is_file, reading_bytes
from utils.cli_utils import ArtefactError

# What numpy and zip raise on a broken header, a broken member, or a shape that nothing can hold.
BROKEN_ARRAYS = (
    ValueError,  # also that the array holds objects
    EOFError,
    AttributeError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    RecursionError,
    SyntaxError,
    NotImplementedError,  # a method of compression, or a password
    RuntimeError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
)
_EXPANSION = 1100  # of deflate: about 1032
_HARMLESS_BYTES = 2**20
_HEADER_BYTES = 10_000
_SURROGATES = (0xD800, 0xDFFF)
_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


class NpzArrays(Mapping[str, Any]):
    """The arrays of an open npz, each read on access."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, repair: str) -> None:
        """Look at the list of members.

        Raises:
            ValueError: their headers claim more than the file can hold.
        """
        self._archive, self._path, self._repair = archive, path, repair
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        claimed, size = sum(info.file_size for info in self._members.values()), path.stat().st_size
        if claimed > max(_EXPANSION * size, _HARMLESS_BYTES):
            raise ValueError(f"its headers claim arrays of {claimed} bytes, which {size} bytes cannot hold")

    def __getitem__(self, key: str) -> NDArray[Any]:
        """An array.

        Raises:
            KeyError: there is none of this name.
            ArtefactError: it is broken, or holds objects.
        """
        info = self._members[key]
        with _plain_arrays(self._path, self._repair):
            with self._archive.open(info) as stream:
                _check_header(stream, key, info.file_size)
            with self._archive.open(info) as stream:
                array: NDArray[Any] = npy_format.read_array(stream, allow_pickle=False, max_header_size=_HEADER_BYTES)
            _check_characters(array, key)
            return array

    def __contains__(self, key: object) -> bool:
        return key in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def _check_header(stream: IO[bytes], key: str, size: int) -> None:
    """Refuse what would take more than the `size` bytes of the member, before memory is allocated."""
    version = npy_format.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"'{key}' is of version {version}, expected 1.0 or 2.0")
    shape, _, dtype = _READERS[version](stream, max_header_size=_HEADER_BYTES)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be read")
    if not dtype.itemsize or math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"'{key}' has the header {dtype} {shape}, but {size} bytes are in the file")


def _check_characters(array: NDArray[Any], key: str) -> None:
    """Refuse code points that are no characters: numpy accepts them, and Python fails on them later."""
    if array.dtype.kind == "U" and array.size:
        numbers = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if numbers.max() > sys.maxunicode or np.any((numbers >= _SURROGATES[0]) & (numbers <= _SURROGATES[1])):
            raise ValueError(f"'{key}' holds numbers that are no characters")


@contextlib.contextmanager
def _plain_arrays(path: Path, repair: str) -> Iterator[None]:
    try:
        with reading_bytes(path):
            yield
    except (*BROKEN_ARRAYS, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtefactError(f"{path}: not a complete file of plain numpy arrays ({reason}); {repair}") from error


@contextlib.contextmanager
def open_npz(path: Path, repair: str) -> Iterator[NpzArrays]:
    """The arrays of an npz file.

    Args:
        path: the file.
        repair: what to do about a broken one, for messages.

    Raises:
        ArtefactError: missing, broken, or larger than it can be.
        UnreadableError: the disk or its permissions refuse to read it.
    """
    check_is_file(path, repair)
    with _plain_arrays(path, repair):
        archive = zipfile.ZipFile(path)  # closed below
        arrays = NpzArrays(archive, path, repair)
    with archive:
        yield arrays
