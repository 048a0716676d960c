"""Windows: a clip longer than an encoder takes is cut into several, as few as possible."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from utils.data_utils.clip_features import ClipFeatures
from utils.data_utils.sampling import Ints


class Windows(NamedTuple):
    """W windows of clips; starts and lengths are in frames, samples, or vectors, as the features count them."""

    clips: Ints  # (W,)
    starts: Ints  # (W,)
    lengths: Ints  # (W,)

    def take(self, rows: Ints) -> Windows:
        """Some of them."""
        return Windows(self.clips[rows], self.starts[rows], self.lengths[rows])


def window_edges(length: int, max_length: int) -> list[int]:
    """Where the windows of a clip begin and end: as few as possible, of nearly equal length, nothing left out."""
    edges: list[int] = np.linspace(0, length, -(-length // max_length) + 1).round().astype(int).tolist()
    return edges


def windows_of(audio: ClipFeatures) -> Windows:
    """Every clip in windows as `window_edges` cuts them."""
    lengths, limit = audio.lengths, audio.max_length
    count = -(-lengths // limit)  # (N,)
    clips = np.repeat(np.arange(len(lengths)), count)  # (W,)
    number = np.arange(len(clips)) - np.repeat(np.cumsum(count) - count, count)
    step = (lengths / count)[clips]
    starts = np.round(number * step).astype(np.int64)
    stops = np.round((number + 1) * step).astype(np.int64)
    return Windows(clips, starts, stops - starts)
