"""The files of the DCASE 2023 task 6B baseline, whose ids are random: read, and never written.

audio_info.pkl               {"audio_fid2fname": {split: {fid: file name}}, "audio_durations": {split: [seconds]}}
<split>_text.csv             tid, fid, fname, raw_text, text, tokens
<split>_audio_logmels.hdf5   fid -> (T, 64); float64 where numpy 2 made it, since its log offset is a float64
sbert_embeds.pkl             {tid: (E,) float32}

Source: DCASE 2023 task 6B baseline, preprocessing/{clotho_dataset,audio_logmel,sbert_embeddings}.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.hdf5 import open_hdf5, reading
from utils.artefact_utils.hdf5_arrays import StrangeArrayError, check_shape, place_of
from utils.artefact_utils.pickles import load_pickle
from utils.cli_utils import ArtefactError

AUDIO_INFO = "audio_info.pkl"
TEXT_VECTORS = "sbert_embeds.pkl"
_AGAIN = "take another copy of it, or make it with the baseline's scripts"
_MAX_HOURS = 24.0


class BaselineClip(NamedTuple):
    """One recording, as audio_info.pkl has it."""

    fid: str  # random
    fname: str
    duration_s: float


def read_baseline_clips(folder: Path, splits: Sequence[str]) -> dict[str, list[BaselineClip]]:
    """The clips of each split, by file name.

    Raises:
        ArtefactError: audio_info.pkl is missing, broken, no such table, or lacks a split.
    """
    path = folder / AUDIO_INFO
    data, _ = load_pickle(path, _AGAIN)
    names, durations = (data.get(key) if isinstance(data, dict) else None for key in _INFO_KEYS)
    if not isinstance(names, dict) or not isinstance(durations, dict):
        raise ArtefactError(f"{path}: expected a dict with {' and '.join(_INFO_KEYS)}, each by split; {_AGAIN}")
    missing = [split for split in splits if split not in names or split not in durations]
    if missing:
        known = ", ".join(map(str, names)) or "none"
        raise ArtefactError(f"{path}: has no split '{missing[0]}', only {known}; name its splits in data.splits")
    return {split: _clips(path, split, names[split], durations[split]) for split in splits}


_INFO_KEYS = ("audio_fid2fname", "audio_durations")


def _clips(path: Path, split: str, names: Any, durations: Any) -> list[BaselineClip]:
    where = f"{path}, split '{split}'"
    if not isinstance(names, dict) or not isinstance(durations, list) or len(names) != len(durations):
        raise ArtefactError(f"{where}: expected a dict fid -> file name, and as many durations; {_AGAIN}")
    clips = []
    for (fid, fname), duration in zip(names.items(), durations, strict=True):
        if not isinstance(fid, str) or not fid or not isinstance(fname, str) or not _is_plain(fname):
            raise ArtefactError(f"{where}: found {fid!r}: {fname!r}, expected a fid and a plain file name; {_AGAIN}")
        number = isinstance(duration, int | float | np.number) and not isinstance(duration, bool)
        if not number or not 0 < float(duration) <= 3600 * _MAX_HOURS:
            raise ArtefactError(f"{where}: the duration of {fname!r} is {duration!r}, expected seconds; {_AGAIN}")
        clips.append(BaselineClip(fid, fname, float(duration)))
    return sorted(clips, key=lambda clip: clip.fname)


def _is_plain(name: str) -> bool:
    """Whether this is a plain file name, without a path."""
    return bool(name.strip()) and "/" not in name and "\0" not in name and name not in (".", "..")


class BaselineLogMels:
    """The log-mels of a split, keyed by random fids; one clip is in memory at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ArtefactError: missing, or not HDF5.
        """
        self._path = path
        self._file = open_hdf5(path, _AGAIN)
        self._bytes = path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def why_unusable(self, fid: str, n_mels: int, frames: int) -> str | None:
        """Check the header of a clip's array; return why it cannot be used, None if it can.

        Args:
            fid: the baseline's.
            n_mels: F.
            frames: T that its duration comes to.
        """
        with reading(self._path, _AGAIN):
            if not isinstance(self._file.get(fid, getlink=True), h5py.HardLink):
                return "no log-mels"
            try:
                place = place_of(self._file, fid, self._bytes)
                check_shape(place, 2, n_mels)
            except StrangeArrayError as error:
                return f"its log-mels are strange: {error}"
        if abs(place.shape[0] - frames) > 1:
            return f"its log-mels have {place.shape[0]} frames, its duration comes to {frames}"
        return None

    def read(self, fid: str) -> NDArray[np.float32]:
        """(T, F) float32; only of a clip that is usable.

        Raises:
            ArtefactError: the file is broken inside.
        """
        with reading(self._path, _AGAIN), np.errstate(over="ignore"):
            frames: NDArray[np.float32] = self._file[fid][()].astype(np.float32, copy=False)
        return frames
