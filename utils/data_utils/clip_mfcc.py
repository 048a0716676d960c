"""Statistics of the MFCC of all clips of a split, computed once: the input of a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip, TrackFeatureParts, read_track_features
from utils.audio_utils.track_features import MFCC_COLUMNS, mfcc_features
from utils.data_utils.clip_track_features import feature_blocks, write_features_of_clips
from utils.data_utils.clip_writing import ClipArrays, refuse_failures
from utils.data_utils.products import making
from utils.data_utils.spec import AudioDataSpec
from utils.executors import Processes

# Seconds of sound per temporary file: a killed run loses at most this much work per process.
_PART_S = 600.0


def mfcc_of_clips(
    data: AudioDataSpec, split: str, clips: Sequence[Clip], workers: int, *, made_by: str
) -> NDArray[np.float32]:
    """Read `data.mfcc(split)`, which is made first where it is missing or of other clips.

    A killed run resumes; progress is shown; of a clip longer than an hour, the first hour counts.

    Args:
        data: the run's `data:` block.
        split: its name.
        clips: of the split.
        workers: processes.
        made_by: the command that makes the file again.
    Returns:
        (N, 140) float32, in the order of `clips`.
    Raises:
        UserError: clips cannot be decoded, the disk is too small, another process makes the same, or a file of another
            program has its name.
    """
    arrays = ClipArrays(
        parts=TrackFeatureParts(data.mfcc(split), MFCC_COLUMNS),
        failed=data.mfcc_failed(split),
        blocks=partial(feature_blocks, data.root, compute=mfcc_features),
        part_s=_PART_S,
        what="MFCC",
    )

    with making(data, "MFCC"):
        failures = write_features_of_clips(arrays, split, clips, Processes(workers), made_by=made_by)
    refuse_failures(failures)
    return read_track_features(arrays.parts.path, clips, made_by, MFCC_COLUMNS)
