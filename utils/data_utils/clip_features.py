"""The clips of a split as encoders take them: log-mels, waveforms, or the vectors or frames of a frozen encoder.

Each class counts a clip's length in its own unit (frames, samples, or 1 for a vector), so that windows, samplers and
batches need not know which one they serve.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from utils.artefact_utils import Clip, FrameTable, LogMelReader
from utils.artefact_utils.clip_views import ClipViews
from utils.audio_utils import AudioError, read_window
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils.sampling import Ints
from utils.data_utils.spec import AudioDataSpec

Array = NDArray[np.float32]
_SPARE_FRAMES = 100


class ClipFeatures(Protocol):
    """The N clips of a split."""

    lengths: Ints  # (N,) frames, samples or 1
    max_length: int  # of a window; longer clips are cut
    width: int  # F of a log-mel, E of a vector or a frame, 1 of a waveform

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """The windows of these clips, padded to the longest.

        Returns:
            float32: (B, T, F) log-mels or frames, (B, S) waves, or (B, E) vectors.
        Raises:
            ArtefactError: a clip cannot be read, or holds NaN or infinite values.
        """


class _MappedFeatures(ABC):
    """Arrays (T, F) that are mapped from disk, in windows; what is not sliced is not read."""

    def __init__(self, views: ClipViews, clips: Sequence[Clip], path: Path, padding: float) -> None:
        """Take over the views.

        Args:
            views: of the clips.
            clips: for messages.
            path: of the file, for messages.
            padding: the value after a clip's end.
        """
        self.views = views
        self.lengths = np.array([place.shape[0] for place in views.places], np.int64)
        self.width: int = views.places[0].shape[1]
        self._clips = clips
        self._path = path
        self._padding = padding

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """(B, T, F) float32."""
        windows = np.empty((len(clips), lengths.max(), self.width), np.float32)
        for row, clip, start, frames in zip(windows, clips, starts, lengths, strict=True):
            row[:frames] = self.views[clip][start : start + frames]
            row[frames:] = self._padding
        if not np.isfinite(windows.sum()):
            for row, number in zip(windows, clips, strict=True):
                if not np.isfinite(row).all():
                    raise self._broken(self._clips[number])
        return torch.from_numpy(windows)

    @abstractmethod
    def _broken(self, clip: Clip) -> ArtefactError:
        """Return the error for a clip whose features are not finite."""


class LogMelFeatures(_MappedFeatures):
    """Log-mels, padded with the floor."""

    def __init__(self, data: AudioDataSpec, split: str, clips: Sequence[Clip]) -> None:
        """Open the feature file.

        Args:
            data: the `data:` block.
            split: its name.
            clips: of the split.
        Raises:
            ArtefactError: it is missing, broken, or made with another front-end, or a clip is not in it.
        """
        numbers = data.front_end_numbers()
        reader = LogMelReader(data.logmels(split), numbers, make("log-mels"))
        super().__init__(reader.views([clip.fid for clip in clips]), clips, reader.path, data.front_end.floor)
        self._refuse_endless([data.front_end.frames(clip.duration_s) for clip in clips])
        self.max_length = data.front_end.frames(data.max_duration_s)

    def _refuse_endless(self, frames: Sequence[int]) -> None:
        """Refuse clips of far more frames than their duration has: packed zeros of a kilobyte, read for hours.

        Args:
            frames: from the duration of each clip in the tables; other programs round otherwise.
        Raises:
            ArtefactError: a clip has more than twice as many.
        """
        longer = np.flatnonzero(self.lengths > 2 * np.array(frames, np.int64) + _SPARE_FRAMES)
        if len(longer):
            clip = self._clips[longer[0]]
            raise ArtefactError(
                f"{self._path}: clip {clip.fid} ({clip.fname}) has {self.lengths[longer[0]]} frames, expected "
                f"{frames[longer[0]]} of its {clip.duration_s:g} s; remove the file and write it again: "
                f"{make('log-mels')}"
            )

    def _broken(self, clip: Clip) -> ArtefactError:
        return ArtefactError(
            f"{self._path}: the features of clip {clip.fid} ({clip.fname}) hold NaN or infinite values; "
            "they are damaged, or an earlier version made them of a damaged recording, which is refused now: "
            f"remove the file, then {make('tables')}, then {make('log-mels')}"
        )


class FrameFeatures(_MappedFeatures):
    """The frames (T, D) that a frozen encoder made of clips or pictures, padded with zeros."""

    def __init__(self, table: FrameTable, clips: Sequence[Clip], max_duration_s: float) -> None:
        """Take over what `read_frames` has opened.

        Args:
            table: the frames.
            clips: those that have frames, in the same order.
            max_duration_s: of a window; where no clip is longer, none is cut.
        """
        super().__init__(table.views, clips, table.path, padding=0.0)
        self._repair = table.repair
        longest = max(range(len(clips)), key=lambda row: clips[row].duration_s)
        duration_s, frames = clips[longest].duration_s, int(self.lengths[longest])
        # how many frames a second an encoder makes is known from its longest clip alone
        cut = duration_s > max_duration_s
        self.max_length = max(1, round(frames * max_duration_s / duration_s)) if cut else int(self.lengths.max())

    def _broken(self, clip: Clip) -> ArtefactError:
        return ArtefactError(
            f"{self._path}: the frames of clip {clip.fid} ({clip.fname}) hold NaN or infinite values; remove the file "
            f"and write it again: {self._repair}"
        )


class WaveNeeds(NamedTuple):
    """What waves a network wants."""

    sample_rate_hz: int
    min_samples: int = 1  # its receptive field
    max_samples: int | None = None  # of the longest window that it takes; None: any


class WaveFeatures:
    """Waveforms, decoded and resampled batch by batch; padded with zeros."""

    width = 1

    def __init__(self, data: AudioDataSpec, clips: Sequence[Clip], needs: WaveNeeds) -> None:
        self._root = data.root
        self._clips = clips
        self._sample_rate_hz = rate_hz = needs.sample_rate_hz
        # the cores of a trial; read here, as a thread that torch does not know would see those of the machine
        self._threads = torch.get_num_threads() if data.workers == "auto" else 1
        self.lengths = np.array([max(1, round(clip.duration_s * rate_hz)) for clip in clips], np.int64)
        longest = round(data.max_duration_s * rate_hz)
        self.max_length = min(longest, needs.max_samples or longest)

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """(B, S) float32."""
        windows = np.zeros((len(clips), lengths.max()), np.float32)
        if self._threads == 1:
            for window in zip(windows, clips, starts, lengths, strict=True):
                self._fill(*window)
        else:
            with ThreadPoolExecutor(self._threads) as threads:
                list(threads.map(self._fill, windows, clips, starts, lengths))
        return torch.from_numpy(windows)

    def _fill(self, row: Array, number: int, start: int, samples: int) -> None:
        wave = self._read(number, start, samples)
        row[: len(wave)] = wave  # the resampler may round a sample away

    def _read(self, number: int, start: int, samples: int) -> Array:
        path = self._root / self._clips[number].path
        try:
            return read_window(path, self._sample_rate_hz, int(start), int(samples))
        except AudioError as error:
            raise ArtefactError(
                f"{path}: {error}; it could be decoded when the tables were made; repair it, or leave it out: "
                f"{make('tables')}"
            ) from error


class VectorFeatures:
    """One vector a clip, in memory (or mapped from disk, if there are too many)."""

    max_length = 1

    def __init__(self, vectors: Array) -> None:
        """Hold the vectors.

        Args:
            vectors: (N, E) float32, one row a clip.
        """
        self.table = torch.from_numpy(vectors)  # shares the memory
        self.lengths = np.ones(len(vectors), np.int64)
        self.width = vectors.shape[1]

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """(B, E) float32."""
        del starts, lengths
        return self.table.index_select(0, torch.from_numpy(clips))


class ClipRange:
    """Neighbouring clips among others, for work that goes on after a kill."""

    def __init__(self, audio: ClipFeatures, start: int, stop: int) -> None:
        """Take some clips.

        Args:
            audio: all of them.
            start: the first row.
            stop: the row after the last one.
        """
        self._audio = audio
        self._start = start
        self.lengths = audio.lengths[start:stop]
        self.max_length = audio.max_length
        self.width = audio.width

    def batch(self, clips: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """As the batch of all clips."""
        return self._audio.batch(clips + self._start, starts, lengths)
