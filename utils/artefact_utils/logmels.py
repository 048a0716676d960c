"""Log-mel features: <split>_audio_logmels.hdf5, one dataset (T, F) a clip, written in parts and then assembled.

A part is a small HDF5 file of some clips; it is complete (renamed) or absent, so a killed run loses the parts at
work and nothing else. The features are the parts' datasets, copied in table order: the same bytes whether the run
was interrupted or not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.atomic import remove_leftovers
from utils.artefact_utils.hdf5 import open_hdf5, reading, replacing_hdf5
from utils.audio_utils import AudioError
from utils.cli_utils import ArtefactError

FORMAT_VERSION = 1
Array = NDArray[np.float32]
# Parts held open while the feature file is assembled; a large corpus has more parts than a process may open.
_OPEN_PARTS = 16


class LogMelSettings(NamedTuple):
    """What the features were made with; stored in the file and compared by its readers."""

    front_end: dict[str, Any]
    dtype: str = "float32"  # or float16: half the disk, 3 digits

    def describe(self) -> str:
        """The front-end's name and the numbers that readers compare."""
        return json.dumps(self._asdict(), sort_keys=True)

    def attributes(self, command: str) -> dict[str, Any]:
        """HDF5 attributes of a feature file."""
        return {
            "format_version": FORMAT_VERSION,
            "front_end": json.dumps(self.front_end, sort_keys=True),
            "dtype": self.dtype,
            "made_by": command,
        }

    @classmethod
    def of(cls, file: h5py.File) -> Self:
        """The settings that a feature file carries."""
        return cls(json.loads(file.attrs.get("front_end", "{}")), str(file.attrs.get("dtype", "")))


class LogMelParts:
    """The feature file of a split while it is written, clip by clip, by any number of processes."""

    def __init__(self, path: Path, settings: LogMelSettings) -> None:
        """Attach to the parts beside `path`; parts of other settings are not seen."""
        digest = hashlib.blake2b(settings.describe().encode(), digest_size=4).hexdigest()
        self.path = path
        self.settings = settings
        self._folder = path.with_name(f"{path.name}.parts-{digest}")

    def finished(self) -> dict[str, Path]:
        """Each clip whose features are on disk -> the file that holds them."""
        places: dict[str, Path] = {}
        for path in [self.path, *sorted(self._folder.glob("part-*.hdf5"))]:
            places.update(dict.fromkeys(self._fids(path), path))
        return places

    def is_complete(self, fids: Sequence[str]) -> bool:
        """Whether the assembled file holds these clips, and no others, with these settings."""
        return set(self._fids(self.path)) == set(fids)

    def replaces(self) -> str | None:
        """The settings of a file that stands there and was made otherwise; None if there is none."""
        if not self.path.is_file():
            return None
        try:
            with h5py.File(self.path, "r") as file:
                found = LogMelSettings.of(file)
        except OSError:  # not a complete HDF5 file: it has no settings
            return None
        return None if found == self.settings else found.describe()

    def write_part(self, chunk: Sequence[str], clips: Iterable[tuple[str, Iterator[Array]]]) -> list[tuple[str, str]]:
        """Write one part.

        Args:
            chunk: the fids that were tried; they name the part.
            clips: fid and log-mels in blocks (T, F); a clip of one block is stored in one piece.
        Returns:
            fid and reason of each clip that could not be decoded; nothing of it is in the part.
        """
        failed = []
        name = hashlib.blake2b("".join(chunk).encode(), digest_size=8).hexdigest()
        with replacing_hdf5(self._folder / f"part-{name}.hdf5") as (file, disk):
            for fid, blocks in clips:
                try:
                    for _ in _write_clip(file, fid, blocks, self.settings.dtype):
                        disk.check()
                except AudioError as error:
                    file.pop(fid, None)
                    failed.append((fid, str(error)))
            file.attrs.update(self.settings.attributes(""))
        return failed

    def assemble(self, fids: Sequence[str], command: str) -> None:
        """Copy the datasets of `fids`, in this order, into the feature file; then remove the parts."""
        places = self.finished()
        remove_leftovers(self.path)
        with replacing_hdf5(self.path) as (file, disk), _OpenFiles() as opened:
            for fid in fids:
                opened[places[fid]].copy(fid, file, name=fid)
                disk.check()
            file.attrs.update(self.settings.attributes(command))
        self.remove_parts()

    def remove_parts(self) -> None:
        """Remove the parts; the feature file holds what they hold."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fids(self, path: Path) -> list[str]:
        """The clips in a feature file or part; none if it is absent, broken, or made with other settings."""
        if not path.is_file():
            return []
        try:
            with h5py.File(path, "r") as file:
                same = LogMelSettings.of(file) == self.settings and file.attrs.get("format_version") == FORMAT_VERSION
                return list(file) if same else []
        except OSError:  # truncated: its clips are made again
            return []


class _OpenFiles:
    """HDF5 files by path, opened when asked for; the oldest is closed when there are too many."""

    def __init__(self) -> None:
        self._files: dict[Path, h5py.File] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.close()

    def __getitem__(self, path: Path) -> h5py.File:
        if path not in self._files:
            if len(self._files) >= _OPEN_PARTS:
                self._files.pop(next(iter(self._files))).close()
            self._files[path] = h5py.File(path, "r")
        return self._files[path]


def _write_clip(file: h5py.File, fid: str, blocks: Iterator[Array], dtype: str) -> Iterator[None]:
    """Write the blocks; pauses after each."""
    first = next(blocks)
    second = next(blocks, None)
    if second is None:
        file.create_dataset(fid, data=first.astype(dtype, copy=False))
        yield
        return
    dataset = file.create_dataset(fid, data=first.astype(dtype), maxshape=(None, first.shape[1]), chunks=True)
    while second is not None:
        dataset.resize(len(dataset) + len(second), axis=0)
        dataset[-len(second) :] = second
        yield
        second = next(blocks, None)


class LogMelReader:
    """Features of a split; clips are views of the mapped file, shared by all processes that read it."""

    def __init__(self, path: Path, front_end: Mapping[str, Any], repair: str) -> None:
        """Open the file and index its clips.

        Args:
            path: <split>_audio_logmels.hdf5.
            front_end: the numbers of the front-end that this run wants.
            repair: the command that writes the file, for messages.
        Raises:
            ArtefactError: missing, broken, of another version or front-end.
        """
        self.path = path
        self._repair = repair
        self._file = open_hdf5(path, repair)
        version = self._file.attrs.get("format_version")
        if version != FORMAT_VERSION:
            raise ArtefactError(
                f"{path}: format version is {version}, this program reads {FORMAT_VERSION}; write it again: {repair}"
            )
        found = LogMelSettings.of(self._file).front_end
        if found != dict(front_end):
            changed = sorted(k for k in {*found, *front_end} if found.get(k) != front_end.get(k))
            raise ArtefactError(
                f"{path}: front-end is {_values(found, changed)}, this run wants {_values(front_end, changed)}; "
                f"write it again: {repair}"
            )
        self._mapped = np.memmap(path, np.uint8, mode="r")

    def index(self, fids: Sequence[str]) -> list[h5py.Dataset]:
        """The datasets of `fids`, in this order.

        Raises:
            ArtefactError: a clip has no features.
        """
        missing = [fid for fid in fids if fid not in self._file]
        if missing:
            raise ArtefactError(
                f"{self.path}: no features for {len(missing)} of {len(fids)} clips, the first is fid {missing[0]}; "
                f"add them: {self._repair}"
            )
        return [self._file[fid] for fid in fids]

    def views(self, fids: Sequence[str]) -> list[Array | h5py.Dataset]:
        """The features of each clip, (T, F) float32 or float16.

        A clip stored in one piece is a view of the mapped file: slicing it copies nothing and starts no HDF5 call.
        A recording that was written in blocks is the HDF5 dataset itself; slicing reads the frames asked for.
        Raises:
            ArtefactError: a clip has no features.
        """
        with reading(self.path, self._repair):
            return [self._view(dataset) for dataset in self.index(fids)]

    def _view(self, dataset: h5py.Dataset) -> Array | h5py.Dataset:
        offset = dataset.id.get_offset()
        if offset is None:
            return dataset
        raw = self._mapped[offset : offset + dataset.nbytes]
        return raw.view(dataset.dtype).reshape(dataset.shape)


def _values(front_end: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {front_end.get(key)}" for key in keys)
