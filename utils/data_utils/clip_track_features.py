"""FMA's hand-crafted features of a clip, from its file, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import probe, regrouped, wave_blocks
from utils.audio_utils.track_features import LONGEST_S, WINDOW_SAMPLES, rate_of, track_features
from utils.data_utils.windows import window_edges

Array = NDArray[np.float32]

_BLOCK_S = 30.0


def features_of_clip(
    root: Path, clip: Clip, compute: Callable[[Iterable[Array], int], Array] = track_features
) -> Array:
    """Compute the (518,) features of a clip; of more than an hour, those of the first hour.

    Args:
        root: its path begins here.
        clip: of any length.
        compute: or `mfcc_features`, for 140 of these.
    Raises:
        AudioError: it cannot be decoded.
    """
    rate = rate_of(clip.sample_rate_hz)
    samples = min(round(clip.duration_s * rate), LONGEST_S * rate)
    lengths = np.diff(window_edges(max(1, samples), WINDOW_SAMPLES)).tolist()
    waves = wave_blocks(root / clip.path, rate, _BLOCK_S)
    return compute(regrouped(waves, lengths), rate)


def features_of_file(path: Path) -> Array:
    """Compute the (1, 518) features of a sound file, as those of a clip.

    Raises:
        AudioError: it cannot be decoded.
    """
    facts = probe(path)
    clip = Clip("", path.name, path.name, facts.duration_s, facts.sample_rate_hz, facts.channels, "")
    return features_of_clip(path.parent, clip)[None]
