"""The arrays of a split, mapped from disk, in any process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.clip_arrays import FORMAT_VERSION
from utils.artefact_utils.hdf5 import attributes_in, mapped_bytes, open_hdf5, reading
from utils.artefact_utils.hdf5_arrays import ArrayPlace, StrangeArrayError, hard_links, place_of, strange
from utils.cli_utils import ArtefactError

Array = NDArray[np.float32]


class ArrayFile:
    """Arrays of an HDF5 file by their place, mapped from disk.

    An array stored in one piece is a view of the mapped file: slicing it copies nothing and starts no HDF5 call.
    One that was written in blocks is the HDF5 dataset itself; slicing reads only those rows.

    Each process opens the file for itself, when it first reads of it: an open HDF5 file can neither be pickled for a
    process that is spawned, nor be shared with one that is forked.
    """

    def __init__(self, path: Path, repair: str) -> None:
        """Open nothing yet.

        Args:
            path: the HDF5 file.
            repair: the command that writes the file, for messages.
        """
        self._path, self._repair = path, repair
        self._mapped: NDArray[np.uint8] | None = None
        self._file: h5py.File | None = None
        self._opened_by = 0  # process id

    def array(self, place: ArrayPlace) -> Array | h5py.Dataset:
        """The array, as stored.

        Raises:
            ArtefactError: the file has been removed, or broken.
        """
        if place.offset is None:
            with reading(self._path, self._repair):
                return self._opened()[place.name]
        if self._mapped is None:
            self._mapped = mapped_bytes(self._path)
        raw = self._mapped[place.offset : place.offset + place.nbytes]
        return raw.view(place.dtype).reshape(place.shape)

    def _opened(self) -> h5py.File:
        if self._file is not None and self._opened_by != os.getpid():
            self._file.close()  # the parent's: both would move one position in the file
            self._file = None
        if self._file is None:
            self._file = open_hdf5(self._path, self._repair)
            self._opened_by = os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_mapped": None, "_file": None}


class ClipViews:
    """The array of each clip, in the order of `places`; may be handed to other processes."""

    def __init__(self, file: ArrayFile, places: Sequence[ArrayPlace]) -> None:
        """Store the place of each array; nothing is read yet."""
        self.places = places
        self._file = file

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Array | h5py.Dataset]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> Array | h5py.Dataset:
        return self._file.array(self.places[row])


class ClipArrayReader:
    """The arrays of a split; clips are views of the mapped file, shared by all processes that read it."""

    what = "features"  # for messages

    def __init__(self, path: Path, repair: str) -> None:
        """Read the attributes of the file.

        Args:
            path: the HDF5 file.
            repair: the command that writes it, for messages.

        Raises:
            ArtefactError: missing, broken, or of another version.
        """
        self.path = path
        self._repair = repair
        with open_hdf5(path, repair) as file:
            self.attributes = attributes_in(file, path, repair)
        version = self.attributes.get("format_version")
        if version != str(FORMAT_VERSION):
            raise ArtefactError(
                f"{path}: format version is {version}, this program reads {FORMAT_VERSION}; write it again: {repair}"
            )

    def views(self, fids: Sequence[str]) -> ClipViews:
        """The array of each clip, as stored.

        Raises:
            ArtefactError: a clip has none, or one that is not as `check` wants it.
        """
        size = self.path.stat().st_size
        try:
            with open_hdf5(self.path, self._repair) as file, reading(self.path, self._repair):
                self._refuse_missing(fids, hard_links(file))
                places = [place_of(file, fid, size) for fid in fids]
                for place in places:
                    self.check(place)
        except StrangeArrayError as error:
            raise strange(self.path, error, self._repair) from error
        return ClipViews(ArrayFile(self.path, self._repair), places)

    def check(self, place: ArrayPlace) -> None:
        """Make sure that an array is one of a clip.

        Raises:
            StrangeArrayError: it is not; here, it holds nothing.
        """
        if 0 in place.shape:
            raise StrangeArrayError(f"'{place.name}' is {place.dtype} {place.shape}, expected at least one value")

    def _refuse_missing(self, fids: Sequence[str], known: set[str]) -> None:
        missing = [fid for fid in fids if fid not in known]
        if missing:
            raise ArtefactError(
                f"{self.path}: no {self.what} for {len(missing)} of {len(fids)} clips, the first is fid {missing[0]}; "
                f"add them: {self._repair}"
            )
