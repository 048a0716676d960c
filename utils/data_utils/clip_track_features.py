"""FMA's hand-crafted features of clips, from their files, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import probe, regrouped, wave_blocks
from utils.audio_utils.track_features import (
    COLUMNS,
    LONGEST_S,
    WINDOW_SAMPLES,
    load_librosa,
    rate_of,
    track_features,
)
from utils.cli_utils import check_free_disk
from utils.data_utils.clip_writing import ClipArrays, Failure, write_clip_arrays
from utils.data_utils.windows import window_edges
from utils.executors import Executor

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


def feature_blocks(
    root: Path, clip: Clip, compute: Callable[[Iterable[Array], int], Array] = track_features
) -> Iterator[Array]:
    """Yield `features_of_clip`, as the one block of its array."""
    yield features_of_clip(root, clip, compute)


def write_features_of_clips(
    arrays: ClipArrays, split: str, clips: Sequence[Clip], executor: Executor, *, made_by: str
) -> list[Failure]:
    """Write the features of one split; arguments, result and Raises as of `write_clip_arrays`.

    Raises:
        UserError: the disk is too small.
    """

    def prepare(missing: Sequence[Clip]) -> None:
        need = (4 * len(COLUMNS) + 1024) * (len(clips) + len(missing))
        check_free_disk(arrays.parts.path.parent, need, "data.features")
        load_librosa()  # it takes seconds, and the first time on a machine it compiles for more

    return write_clip_arrays(arrays, split, clips, executor, made_by=made_by, prepare=prepare)


def features_of_file(path: Path) -> Array:
    """Compute the (1, 518) features of a sound file, as those of a clip.

    Raises:
        AudioError: it cannot be decoded.
    """
    facts = probe(path)
    clip = Clip("", path.name, path.name, facts.duration_s, facts.sample_rate_hz, facts.channels, "")
    return features_of_clip(path.parent, clip)[None]
