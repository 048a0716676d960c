"""One window of a clip, as a slice of the whole resampled clip, without decoding the whole."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from utils.audio_utils.containers import AudioError
from utils.audio_utils.decoding import checked_blocks
from utils.audio_utils.readers import OpenSound, open_sound

Array = NDArray[np.float32]

# Samples that are resampled on either side of a window, at the lower of the two rates: soxr's filter reaches 128.
_MARGIN = 256


def read_window(path: Path, sample_rate_hz: int, start: int, samples: int) -> Array:
    """A part of a clip: mono, resampled.

    Where the file can be searched exactly (WAV, FLAC and the like; MP3), only the part is decoded; else all that lies
    before it too. What lies after it is never read, so damage there is not noticed.

    Args:
        path: the file.
        sample_rate_hz: of the result.
        start: its first sample, at that rate.
        samples: how many; at the end of the file there may be fewer.
    Returns:
        (S,) float32, S <= samples: `read_wave(path, sample_rate_hz)[start : start + samples]`, exactly where the file
        has this rate, and to 1e-5 of full scale where it is resampled.
    Raises:
        AudioError: as `probe`, of what is read.
    """
    with open_sound(path) as sound:
        if sound.sample_rate_hz == sample_rate_hz:
            return _read(sound, start, start + samples)
        common = math.gcd(sound.sample_rate_hz, sample_rate_hz)
        source, target = sound.sample_rate_hz // common, sample_rate_hz // common
        margin = math.ceil(_MARGIN * max(1, source / target))
        # the resampler starts where a sample of the source and one of the result fall together, as they do at 0
        periods = max(0, start * source // target - margin) // source
        stop = math.ceil((start + samples) * source / target) + margin
        part = _read(sound, periods * source, stop)
        wave: Array = soxr.resample(part, sound.sample_rate_hz, sample_rate_hz)
        if start == 0 and not len(wave):  # a clip shorter than one sample at the new rate still is one
            return part[:samples][:1]
        return wave[start - periods * target :][:samples]


def _read(sound: OpenSound, start: int, stop: int) -> Array:
    """(S,) of the samples of an open file from `start` to `stop`, or to its end.

    Raises:
        AudioError: as `probe`.
    """
    blocks: list[Array] = []
    missing = stop - start
    for block in checked_blocks(sound, missing / sound.sample_rate_hz, start):
        blocks.append(block[:missing])
        missing -= len(blocks[-1])
        if missing <= 0:
            break
    if not blocks:
        if start == 0:
            raise AudioError("holds no samples")
        return np.zeros(0, np.float32)
    return np.concatenate(blocks)
