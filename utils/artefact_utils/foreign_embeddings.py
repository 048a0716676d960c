"""Vectors by clip that another program wrote: HDF5, npz, or a pickle of plain containers and numpy arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from utils.artefact_utils.clip_views import ArrayFile
from utils.artefact_utils.files import check_is_file
from utils.artefact_utils.hdf5 import attributes_in, open_hdf5, reading
from utils.artefact_utils.hdf5_arrays import StrangeArrayError, hard_links, place_of, strange
from utils.artefact_utils.npz import open_npz
from utils.artefact_utils.pickles import load_pickle
from utils.artefact_utils.vector_tables import MAX_VECTOR_BYTES
from utils.cli_utils import ArtefactError

# What a list of dicts may call its clips by, in the order in which they are tried.
_DICT_KEYS = ("fid", "audio_path", "fname", "file_name", "uniq_id")


_MAKER = "with the program that made it"


class ForeignVectors(Protocol):
    """An open file of vectors by key."""

    left_out: str  # JSON fid -> reason, from the file's attribute; empty where it has none

    def keys_among(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that the file has."""

    def some_keys(self) -> list[str]:
        """A few keys of the file, for messages."""

    def __getitem__(self, key: str) -> Any:
        """The array of a key."""


@contextlib.contextmanager
def open_foreign(path: Path, repair: str) -> Iterator[ForeignVectors]:
    """Open the file to read; its suffix decides the format.

    Raises:
        ArtefactError: missing, broken, or of another kind.
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        known = ", ".join(_OPENERS)
        raise ArtefactError(f"{path}: suffix '{path.suffix}' is none of {known}; {repair}")
    check_is_file(path, repair)
    with opener(path, repair) as vectors:
        yield vectors


class _HDF5Vectors:
    """Datasets by name, also in groups: a key may hold slashes."""

    def __init__(self, path: Path, file: h5py.File, repair: str) -> None:
        self._path, self._file, self._repair = path, file, repair
        self._arrays = ArrayFile(path, repair)
        self._size = path.stat().st_size
        self._names: dict[str, set[str]] = {}  # of each group read so far
        with reading(path, repair):
            self.left_out = attributes_in(file, path, repair).get("left_out", "") if "left_out" in file.attrs else ""

    def keys_among(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if self._has(key)}

    def _has(self, key: str) -> bool:
        group, _, name = key.rpartition("/")
        return name in self._names_in(group)

    def _names_in(self, group: str) -> set[str]:
        """The names in a group, each group on the way in the file itself; none if there is no such group."""
        if group not in self._names:
            known = (not group) or self._has(group)
            place = self._file.get(group or "/") if known else None
            try:
                self._names[group] = hard_links(place) if isinstance(place, h5py.Group) else set()
            except StrangeArrayError as error:
                raise strange(self._path, error, self._repair) from error
        return self._names[group]

    def some_keys(self) -> list[str]:
        names: list[str] = []
        for name in islice(sorted(self._names_in("")), 3):
            inside = [f"{name}/{inner}" for inner in islice(sorted(self._names_in(name)), 2)]
            names += inside or [name]
        return names

    def __getitem__(self, key: str) -> Any:
        try:
            place = place_of(self._file, key, self._size)
        except StrangeArrayError as error:
            raise strange(self._path, error, self._repair) from error
        if place.nbytes > MAX_VECTOR_BYTES:
            raise ArtefactError(
                f"{self._path}: '{key}' is {place.dtype} {place.shape}, expected a vector (D,); {self._repair}"
            )
        return self._arrays.array(place)[()]


class _MappedVectors:
    """A mapping from keys to arrays."""

    left_out = ""

    def __init__(self, vectors: Mapping[str, Any]) -> None:
        self._vectors = vectors

    def keys_among(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if key in self._vectors}

    def some_keys(self) -> list[str]:
        return [str(key) for key in islice(self._vectors, 3)]

    def __getitem__(self, key: str) -> Any:
        return np.asarray(self._vectors[key])


@contextlib.contextmanager
def _open_hdf5(path: Path, repair: str) -> Iterator[ForeignVectors]:
    with open_hdf5(path, f"{_MAKER}, or {repair}") as file:
        yield _HDF5Vectors(path, file, f"{_MAKER}, or {repair}")


@contextlib.contextmanager
def _open_npz(path: Path, repair: str) -> Iterator[ForeignVectors]:
    with open_npz(path, repair) as arrays:
        yield _MappedVectors(arrays)


@contextlib.contextmanager
def _open_pickle(path: Path, repair: str) -> Iterator[ForeignVectors]:
    data, _ = load_pickle(path, f"{_MAKER}, or {repair}")
    vectors = _by_key(data, path, repair) if isinstance(data, list) else data
    if not isinstance(vectors, dict):
        raise ArtefactError(
            f"{path}: found {type(data).__name__}, expected a dict of vectors or a list of dicts; {repair}"
        )
    yield _MappedVectors(vectors)


def _by_key(rows: list[Any], path: Path, repair: str) -> dict[str, Any]:
    """The `audio_embedding` of each row of a list of dicts, by the first name of a clip that the rows have.

    Raises:
        ArtefactError: a row lacks either, or two rows of one clip differ.
    """
    first = rows[0] if rows and isinstance(rows[0], dict) else {}
    name = next((key for key in _DICT_KEYS if key in first), None)
    vectors: dict[str, Any] = {}
    for number, row in enumerate(rows):
        if name is None or not isinstance(row, dict) or name not in row or "audio_embedding" not in row:
            raise ArtefactError(
                f"{path}: row {number} has no audio_embedding, or no {name or ' or '.join(_DICT_KEYS)}; {repair}"
            )
        vector: Any = row["audio_embedding"]
        held: Any = vectors.setdefault(str(row[name]), vector)
        if held is not vector and not np.array_equal(held, vector):
            raise ArtefactError(f"{path}: two rows of {name} {row[name]!r} have different embeddings; {repair}")
    return vectors


_Opener = Callable[[Path, str], contextlib.AbstractContextManager[ForeignVectors]]
_OPENERS: dict[str, _Opener] = {
    ".hdf5": _open_hdf5,
    ".h5": _open_hdf5,
    ".npz": _open_npz,
    ".pkl": _open_pickle,
    ".pickle": _open_pickle,
}
