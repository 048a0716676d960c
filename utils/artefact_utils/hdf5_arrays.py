"""Checks on the arrays of an HDF5 file from an untrusted source.

HDF5 follows links into other files, maps datasets from others, and stores a terabyte of nothing in a kilobyte. An array
that passes is stored in the file itself, is of floats, and is no larger than the file can hold.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from utils.cli_utils import ArtefactError

# deflate packs at most about 1032 bytes into one: a larger header is forged; small arrays are harmless.
_EXPANSION = 1100
_HARMLESS_BYTES = 2**20
_CHUNK_BYTES = 2**28  # HDF5 unpacks a whole chunk, even to read one value
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_SZIP,
    h5py.h5z.FILTER_NBIT,
    h5py.h5z.FILTER_SCALEOFFSET,
    h5py.h5z.FILTER_LZF,
}


class ArrayPlace(NamedTuple):
    """Where an array is stored in its file."""

    name: str
    offset: int | None  # of its first byte; None: it is stored in chunks, which HDF5 must read
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


class StrangeArrayError(Exception):
    """An array is not one that this project reads."""


def hard_links(group: h5py.Group) -> set[str]:
    """Return the names in a group; each is a hard link, an object of the same file.

    Raises:
        StrangeArrayError: one is a link into another file, or to another name, or is no text.
    """
    names = set(group)
    links = group.id.links
    for name in names:
        if isinstance(name, bytes):  # as h5py gives what is no UTF-8
            raise StrangeArrayError(f"it holds the name {name!a}, which is no text")
        if links.get_info(name.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
            raise StrangeArrayError(f"'{name}' is a link to another name or file, expected the array itself")
    return names


def place_of(file: h5py.File, name: str, size: int) -> ArrayPlace:
    """Locate the floats of a dataset.

    Args:
        file: open to read.
        name: of the dataset; its links are hard, as `hard_links` makes sure.
        size: bytes of the file.

    Raises:
        StrangeArrayError: it is no dataset, holds anything but floats, is stored in other files, or is larger than the
            file can hold.
    """
    try:
        # the high level would take three times as long
        dataset = h5py.h5d.open(file.id, name.encode("utf-8", "surrogateescape"))
    except (KeyError, ValueError, TypeError) as error:
        raise StrangeArrayError(f"'{name}' is no dataset") from error
    dtype, shape = dataset.dtype, dataset.shape
    if dtype.kind != "f" or dtype.itemsize > 8 or dtype.shape or shape is None:
        raise StrangeArrayError(f"'{name}' is {dtype} {shape}, expected floats")
    offset = dataset.get_offset()
    nbytes = math.prod(shape) * dtype.itemsize
    # contiguous and within the file: it cannot be virtual, external or packed, so that its layout need not be read
    if offset is None or dataset.get_storage_size() != nbytes or offset + nbytes > size:
        _check_layout(name, dataset, nbytes, size)
        offset = None
    return ArrayPlace(name, offset, shape, dtype)


def _check_layout(name: str, dataset: h5py.h5d.DatasetID, nbytes: int, size: int) -> None:
    plan = dataset.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise StrangeArrayError(f"'{name}' is stored in other files")
    stored = dataset.get_storage_size()
    if plan.get_layout() == h5py.h5d.CONTIGUOUS and stored != nbytes:
        raise StrangeArrayError(f"'{name}' is {dataset.dtype} {dataset.shape}, but nothing of it was written")
    if stored > size or nbytes > max(_EXPANSION * stored, _HARMLESS_BYTES):
        raise StrangeArrayError(f"'{name}' has a header for {nbytes} bytes, but {stored} are in the file")
    if plan.get_layout() == h5py.h5d.CHUNKED:
        chunk = math.prod(plan.get_chunk()) * dataset.dtype.itemsize
        if chunk > _CHUNK_BYTES:
            raise StrangeArrayError(f"'{name}' is stored in chunks of {chunk} bytes, expected at most {_CHUNK_BYTES}")
    for number in range(plan.get_nfilters()):
        if plan.get_filter(number)[0] not in _FILTERS:
            raise StrangeArrayError(f"'{name}' is packed by a program that HDF5 does not bring along")


def check_shape(place: ArrayPlace, dims: int, width: int | None = None) -> None:
    """Make sure of the number of dimensions, that none is 0, and of the last.

    Raises:
        StrangeArrayError: it is otherwise.
    """
    if len(place.shape) != dims or 0 in place.shape or (width is not None and place.shape[-1] != width):
        last = "D > 0" if width is None else str(width)
        wanted = f"({last},)" if dims == 1 else f"(T > 0, {last})"
        raise StrangeArrayError(f"'{place.name}' is {place.dtype} {place.shape}, expected floats {wanted}")


def strange(path: Path, error: StrangeArrayError, repair: str) -> ArtefactError:
    """The error for the user."""
    return ArtefactError(f"{path}: {error}; move the file away and write it again: {repair}")
