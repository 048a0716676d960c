"""Windows: a clip longer than an encoder takes is cut into several.

For evaluation as few as possible, of nearly equal length, without overlap: what is measured twice counts twice in the
mean over a clip's windows, and costs twice. For training they may overlap: a sound at the edge of one window is in the
middle of another.
"""

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


def overlapping_windows(lengths: Ints, max_length: int, overlap: float) -> Windows:
    """Every clip in windows of one length that overlap; what is shorter than a window is one.

    Args:
        lengths: (N,) frames, samples or vectors of each clip.
        max_length: of a window, in the same unit.
        overlap: the share of a window that the next one repeats, 0 <= overlap < 1; the last window ends with the clip,
            and may repeat more.
    """
    hop = max(1, round(max_length * (1 - overlap)))
    room = np.maximum(lengths - max_length, 0)  # (N,) where the last window of each clip begins
    count = -(-room // hop) + 1
    clips = np.repeat(np.arange(len(lengths)), count)  # (W,)
    number = np.arange(len(clips)) - np.repeat(np.cumsum(count) - count, count)
    return Windows(clips, np.minimum(number * hop, room[clips]), np.minimum(lengths, max_length)[clips])
