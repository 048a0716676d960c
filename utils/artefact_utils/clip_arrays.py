"""One array a clip in an HDF5 file of a split, written in parts and then assembled.

A part is a small HDF5 file of some clips; it is complete (renamed) or absent, so a killed run loses the parts at
work and nothing else. The file is the parts' datasets, copied in table order: the same bytes whether the run was
interrupted or not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.atomic import remove_leftovers, see_anew
from utils.artefact_utils.beside import all_beside, beside, mark_of
from utils.artefact_utils.files import UnreadableError, is_there
from utils.artefact_utils.hdf5 import attributes_in, open_hdf5, reading, replacing_hdf5
from utils.artefact_utils.hdf5_arrays import StrangeArrayError, hard_links, place_of
from utils.audio_utils import AudioError
from utils.cli_utils import ArtefactError
from utils.config_utils import parse_json

FORMAT_VERSION = 1
Array = NDArray[np.float32]
# Parts held open while the file is assembled; a large corpus has more parts than a process may open.
_OPEN_PARTS = 16


def attributes_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as HDF5 attributes: texts as they are, other values as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True) for key, value in settings.items()
    }


def found_beside(path: Path, fits: Callable[[Mapping[str, str]], bool]) -> Path:
    """Find the file whose attributes a reader accepts, among those of a name; if there is none, return the name.

    Args:
        path: the plain name.
        fits: whether a file with these attributes is meant.
    """
    there = ((other, _attributes_of_file(other)) for other in all_beside(path))
    return next((other for other, found in there if found is not None and fits(found)), path)


class ClipArrayParts:
    """The file of a split while it is written, clip by clip, by any number of processes.

    Attributes:
        plain: the name without a mark.
        path: the HDF5 file: `plain`, or a name beside it where that holds what other choices made.

    Args:
        path: the plain name.
        settings: what the arrays are made with, plain values by name, stored as attributes; `dtype` is that of the
            arrays. A file or part with other settings is not reused.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Open the parts beside `path`; those of other settings are ignored."""
        digest = hashlib.blake2b(_described(settings).encode(), digest_size=4).hexdigest()
        self._settings = dict(settings)
        self._attributes = attributes_of(settings)
        self.plain = path
        # named after the plain file: `path` may change between two runs, and a resumed run must find its parts
        self._folder = path.with_name(f"{path.name}.parts-{digest}")
        self.path = self._place()

    def _place(self) -> Path:
        """The file of the same choices; else the plain name, if it is free, or a name beside it."""
        wanted = self.choices(self._attributes)
        there = {path: _attributes_of_file(path) for path in all_beside(self.plain)}
        for path, found in there.items():
            if found is not None and self.choices(found) == wanted:
                return path
        # a broken file is made again
        return self.plain if there[self.plain] is None else beside(self.plain, mark_of(wanted))

    def choices(self, attributes: Mapping[str, str]) -> dict[str, str]:
        """What the user has chosen of what a file was made with.

        A file that differs in one of these is another one's, and is not replaced; one that differs in others alone (a
        newer state of the model, another dtype) is. Here, nothing is chosen.
        """
        del attributes
        return {}

    def lies_beside(self) -> str | None:
        """Describe the file of the plain name (settings, size) where this one has a mark; else None."""
        if self.path == self.plain:
            return None
        return f"{self._shown(self.plain)} ({self.plain.stat().st_size / 1e6:.1f} MB)"

    def finished(self) -> dict[str, Path]:
        """Each clip whose array is on disk -> the file that holds it."""
        places: dict[str, Path] = {}
        if self._folder.is_dir():
            see_anew(self._folder)
        for path in [self.path, *sorted(self._folder.glob("part-*.hdf5"))]:
            places.update(dict.fromkeys(self._fids(path), path))
        return places

    def is_complete(self, fids: Sequence[str]) -> bool:
        """Whether the assembled file holds these clips, and no others, with these settings."""
        return set(self._fids(self.path)) == set(fids)

    def replaces(self) -> str | None:
        """Return the settings of the file that this one will replace; None if there is none."""
        found = self._attributes_in(self.path)
        return None if found is None or found == self._attributes else self._shown(self.path)

    def _shown(self, path: Path) -> str:
        """The settings of another file, as those of this one are shown."""
        found = self._attributes_in(path) or {}
        # decoded where the value of this name is no text
        texts = {key for key, value in self._settings.items() if isinstance(value, str)}
        return _described({key: text if key in texts else _decoded(text) for key, text in found.items()})

    def note(self, name: str) -> str:
        """A further attribute of the assembled file, empty where it has none."""
        return (_attributes_of_file(self.path) or {}).get(name, "")

    def write_part(self, chunk: Sequence[str], clips: Iterable[tuple[str, Iterator[Array]]]) -> list[tuple[str, str]]:
        """Write one part.

        Args:
            chunk: the fids that were tried; they name the part.
            clips: fid and the array in blocks of rows; a clip of one block is stored in one piece.
        Returns:
            fid and reason of each clip that could not be decoded; nothing of it is in the part.
        """
        failed = []
        name = hashlib.blake2b("".join(chunk).encode(), digest_size=8).hexdigest()
        with replacing_hdf5(self._folder / f"part-{name}.hdf5", known=None) as (file, disk):
            for fid, blocks in clips:
                try:
                    for _ in _write_clip(file, fid, blocks, self._settings["dtype"]):
                        disk.check()
                except AudioError as error:
                    file.pop(fid, None)
                    failed.append((fid, str(error)))
            file.attrs.update({"format_version": FORMAT_VERSION, **self._attributes, "made_by": ""})
        return failed

    def assemble(self, fids: Sequence[str], command: str, notes: Mapping[str, str] | None = None) -> None:
        """Copy the datasets of `fids`, in this order, into the file; then remove the parts.

        Args:
            fids: clips that are `finished`.
            command: what makes the file again.
            notes: further attributes; they are no settings.
        Raises:
            ArtefactError: a part that another machine has written is not seen here.
        """
        places = self.finished()
        if unseen := sum(fid not in places for fid in fids):
            raise ArtefactError(f"{self._folder}: what was written of {unseen} clips is not seen here yet; run again")
        remove_leftovers(self.path)
        attributes = {"format_version": FORMAT_VERSION, **self._attributes, "made_by": command, **(notes or {})}
        with replacing_hdf5(self.path) as (file, disk), _OpenFiles() as opened:
            for fid in fids:
                opened[places[fid]].copy(fid, file, name=fid)
                disk.check()
            file.attrs.update(attributes)
        self.remove_parts()

    def remove_parts(self) -> None:
        """Remove the parts; the file holds what they hold."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _attributes_in(self, path: Path) -> dict[str, str] | None:
        """The attributes of this file's settings in another; None if it is absent or broken."""
        found = _attributes_of_file(path)
        return None if found is None else {key: found.get(key, "") for key in self._attributes}

    def _fids(self, path: Path) -> list[str]:
        """The clips in a file or part; none if it is absent, broken, or made with other settings."""
        found = _attributes_of_file(path)
        if found is None or found.get("format_version") != str(FORMAT_VERSION):
            return []
        if {key: found.get(key, "") for key in self._attributes} != self._attributes:
            return []
        try:
            with open_hdf5(path, "") as file, reading(path, ""):
                size = path.stat().st_size
                return [name for name in sorted(hard_links(file)) if 0 not in place_of(file, name, size).shape]
        except UnreadableError:
            raise
        except (ArtefactError, StrangeArrayError):  # broken inside, or not as it was written: made again
            return []


def _attributes_of_file(path: Path) -> dict[str, str] | None:
    """All attributes; None if the file is absent or broken.

    Raises:
        UnreadableError: it is there, but the disk or its permissions refuse to read it.
    """
    if not is_there(path):
        return None
    try:
        with open_hdf5(path, "") as file:
            return attributes_in(file, path, "")
    except UnreadableError:
        raise
    except ArtefactError:  # not a complete HDF5 file: it has no attributes
        return None


class _OpenFiles:
    """HDF5 files by path, opened on first use; the oldest is closed when there are too many."""

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
            self._files[path] = h5py.File(path, "r", locking=False)
        return self._files[path]


def _write_clip(file: h5py.File, fid: str, blocks: Iterator[Array], dtype: str) -> Iterator[None]:
    """Write the blocks; pauses after each."""
    first = next(blocks)
    second = next(blocks, None)
    if second is None:
        file.create_dataset(fid, data=first.astype(dtype, copy=False))
        yield
        return
    dataset = file.create_dataset(fid, data=first.astype(dtype), maxshape=(None, *first.shape[1:]), chunks=True)
    while second is not None:
        dataset.resize(len(dataset) + len(second), axis=0)
        dataset[-len(second) :] = second
        yield
        second = next(blocks, None)


def _decoded(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:  # of another program, which stores other things under this name
        return text


def _described(settings: Mapping[str, Any]) -> str:
    return json.dumps(dict(settings), sort_keys=True)
