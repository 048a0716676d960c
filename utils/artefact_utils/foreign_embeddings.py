"""Vectors by clip that another program wrote: HDF5, npz, or a pickle of plain containers and numpy arrays."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from utils.artefact_utils.hdf5 import mapped_bytes, open_hdf5
from utils.artefact_utils.pickles import load_pickle
from utils.cli_utils import ArtefactError

# What a list of dicts may call its clips by, in the order in which they are tried.
_DICT_KEYS = ("fid", "audio_path", "fname", "file_name", "uniq_id")


_MAKER = "with the program that made it"


class ForeignVectors(Protocol):
    """An open file of vectors by key."""

    left_out: str  # JSON fid -> reason, where the file says so; else empty

    def keys_among(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that the file has."""

    def some_keys(self) -> list[str]:
        """A few keys of the file, for messages."""

    def __getitem__(self, key: str) -> Any:
        """The array of a key."""


@contextlib.contextmanager
def open_foreign(path: Path, repair: str) -> Iterator[ForeignVectors]:
    """The file, to read; its suffix says what it is.

    Raises:
        ArtefactError: missing, broken, or of another kind.
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        known = ", ".join(_OPENERS)
        raise ArtefactError(f"{path}: suffix '{path.suffix}' is none of {known}; {repair}")
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; {repair}")
    with opener(path, repair) as vectors:
        yield vectors


class _HDF5Vectors:
    """Datasets by name, also in groups: a key may hold slashes."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._file = file
        self._mapped = mapped_bytes(path)
        self.left_out = str(file.attrs.get("left_out", ""))

    def keys_among(self, keys: Iterable[str]) -> set[str]:
        by_group: dict[str, set[str]] = {}
        for key in keys:
            group, _, name = key.rpartition("/")
            by_group.setdefault(group, set()).add(name)
        found = set()
        for group, names in by_group.items():
            place = self._file.get(group or "/")
            if isinstance(place, h5py.Group):
                found |= {f"{group}/{name}" if group else name for name in names & set(place)}
        return found

    def some_keys(self) -> list[str]:
        names: list[str] = []
        for name in islice(self._file, 3):
            entry = self._file[name]
            inside = [f"{name}/{inner}" for inner in islice(entry, 2)] if isinstance(entry, h5py.Group) else [name]
            names += inside
        return names

    def __getitem__(self, key: str) -> Any:
        dataset = h5py.h5d.open(self._file.id, key.encode())  # HDF5's high level would take three times as long
        offset = dataset.get_offset()
        if offset is None:  # compressed or chunked
            return self._file[key][()]
        raw = self._mapped[offset : offset + dataset.get_storage_size()]
        return raw.view(dataset.dtype).reshape(dataset.shape)


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
        yield _HDF5Vectors(path, file)


@contextlib.contextmanager
def _open_npz(path: Path, repair: str) -> Iterator[ForeignVectors]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield _MappedVectors(arrays)
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()).partition(". If you")[0]  # numpy advises to load it unsafely
        raise ArtefactError(f"{path}: not a complete npz file of plain arrays ({reason}); {repair}") from error


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
