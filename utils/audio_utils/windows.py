"""Read a window of a clip, equal to that slice of the resampled clip, without decoding the whole clip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from utils.audio_utils.containers import AudioError
from utils.audio_utils.decoding import checked_blocks
from utils.audio_utils.readers import OpenSound, open_sound

Array = NDArray[np.float32]

# Samples to resample on both sides of a window, at the lower of the two rates; soxr's filter spans 128.
_MARGIN = 256


def read_window(path: Path, sample_rate_hz: int, start: int, samples: int) -> Array:
    """Decode a window of a clip: mono, resampled.

    Formats with exact seeking (WAV, FLAC and the like; MP3) are decoded from the window on, others from the start of
    the file. Samples after the window are not decoded, so that damage there is not reported.

    Args:
        path: the file.
        sample_rate_hz: of the result.
        start: the first sample of the window, at that rate.
        samples: length of the window; the end of the file may cut it.
    Returns:
        (S,) float32, S <= samples: `read_wave(path, sample_rate_hz)[start : start + samples]`; equal if the file has
        this rate, within 1e-5 of full scale if it is resampled.
    Raises:
        AudioError: as `probe`, for the samples that are decoded.
    """
    with open_sound(path) as sound:
        if sound.sample_rate_hz == sample_rate_hz:
            return _read(sound, start, start + samples)
        common = math.gcd(sound.sample_rate_hz, sample_rate_hz)
        source, target = sound.sample_rate_hz // common, sample_rate_hz // common
        margin = math.ceil(_MARGIN * max(1, source / target))
        # Both rates have a sample at 0, and then again after each period: only from there on, the resampler gives the
        # samples of the whole clip.
        periods = max(0, start * source // target - margin) // source
        stop = math.ceil((start + samples) * source / target) + margin
        excerpt = _read(sound, periods * source, stop)
        wave: Array = soxr.resample(excerpt, sound.sample_rate_hz, sample_rate_hz)
        if start == 0 and not len(wave):  # a clip shorter than one sample at the new rate still gets one
            return excerpt[:samples][:1]
        return wave[start - periods * target :][:samples]


def regrouped(blocks: Iterable[Array], lengths: Sequence[int]) -> Iterator[Array]:
    """Cut a stream of samples or frames anew; what follows the last window is not read.

    Args:
        blocks: (S,) or (T, F) float32 each.
        lengths: samples or frames of each window; the end of the stream may cut the last one.
    """
    stream = iter(blocks)
    rest = next(stream, None)
    for length in lengths:
        if rest is None:
            return
        found = [rest]
        missing = length - len(rest)
        while missing > 0 and (block := next(stream, None)) is not None:
            found.append(block)
            missing -= len(block)
        samples = np.concatenate(found)
        rest = samples[length:]
        if len(samples):
            yield samples[:length]


def _read(sound: OpenSound, start: int, stop: int) -> Array:
    """Read the (S,) samples of an open file from `start` to `stop`, or to its end.

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
