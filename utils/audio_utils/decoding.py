"""Decode and resample sound files to mono float32 waves, whole or in blocks."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from utils.audio_utils.containers import AudioError
from utils.audio_utils.readers import OpenSound, open_sound

Array = NDArray[np.float32]

# Increase this when other files are accepted, or their samples change: clips are then decoded again, not looked up.
DECODING_VERSION = 3

# Sample rates of sound: seismographs are slower, and no recorder is faster. A file of 1 Hz becomes hours of samples.
MIN_RATE_HZ, MAX_RATE_HZ = 1000, 1_000_000
MAX_CHANNELS = 256
MAX_DURATION_S = 86_400
# 120 dB above full scale. Recordings in floats may exceed full scale by some 40 dB, unscaled 16-bit integers by 90 dB;
# a larger sample is damage, and its square in a spectrum overflows.
MAX_SAMPLE = 1e6
BLOCK_S = 30.0


class ClipFacts(NamedTuple):
    """The facts about a clip that decoding shows."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    sound: str  # digest of the samples; empty if all of them are 0


def probe(path: Path, block_s: float = BLOCK_S, hear: Callable[[Array, int], None] | None = None) -> ClipFacts:
    """Decode a whole file, block by block, to check it and to measure its length; headers are not reliable.

    Args:
        path: the file.
        block_s: length of a block.
        hear: takes each block, (S,) mono, and the sample rate, so that nobody decodes the file a second time; only a
            file that raises nothing is whole.
    Raises:
        AudioError: no audio, truncated, damaged, empty, longer than a day, or with samples that are not finite or huge.
    """
    samples = 0
    with open_sound(path) as sound:
        digest = _SoundDigest(sound.sample_rate_hz)
        for block in checked_blocks(sound, block_s):
            samples += len(block)
            digest.update(block)
            if hear is not None:
                hear(block, sound.sample_rate_hz)
        if samples == 0:
            raise AudioError("holds no samples")
        return ClipFacts(samples / sound.sample_rate_hz, sound.sample_rate_hz, sound.channels, digest.hexdigest())


class _SoundDigest:
    """A digest of the samples of a recording: independent of file name, tags and lossless container.

    It is that of the sample rate and of the samples as 16-bit integers: a WAV, its FLAC and its float WAV have the same
    one. A copy at another rate, a 24-bit original and an MP3 have others.

    Beside it, each clip has a digest of its file (its id): that one tells whether the file changed, this one finds the
    same recording in two files.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._digest = hashlib.blake2b(str(sample_rate_hz).encode(), digest_size=16)
        self._silent = True

    def update(self, block: Array) -> None:
        scaled = np.multiply(block, 32768)
        np.rint(scaled, out=scaled)
        np.clip(scaled, -32768, 32767, out=scaled)
        samples = scaled.astype("<i2")
        self._silent = self._silent and not samples.any()
        self._digest.update(samples.data)

    def hexdigest(self) -> str:
        return "" if self._silent else self._digest.hexdigest()


def why_refused(wave: Array, sample_rate_hz: int, min_samples: int) -> str:
    """Return why an encoder cannot embed a clip, in words; empty: it can.

    Args:
        wave: (S,) the clip.
        sample_rate_hz: of the wave.
        min_samples: the network's receptive field.
    """
    if len(wave) < min_samples:
        found_ms, wanted_ms = (1000 * n / sample_rate_hz for n in (len(wave), min_samples))
        return f"too short: {found_ms:.1f} ms, the network's receptive field is {wanted_ms:.1f} ms"
    return "" if wave.any() else "silent: every sample is 0"


def header_duration_s(path: Path) -> float:
    """Return the duration in the file's header, unverified, to plan batches; 0.0 if the header has none."""
    try:
        with open_sound(path) as sound:
            return sound.header_s
    except AudioError:
        return 0.0


def read_wave(path: Path, sample_rate_hz: int) -> Array:
    """Decode a whole clip: mono (the mean of its channels), resampled.

    Returns:
        (S,) float32, full scale is +-1.
    Raises:
        AudioError: as `probe`.
    """
    return np.concatenate(list(wave_blocks(path, sample_rate_hz, block_s=3600.0)))


def wave_blocks(path: Path, sample_rate_hz: int, block_s: float) -> Iterator[Array]:
    """Decode a clip in blocks of about `block_s` seconds or less: mono, resampled as one stream.

    Yields:
        (S,) float32, full scale is +-1; the concatenated blocks equal the result of `read_wave`, up to the rounding of
        the resampler if there are several.
    Raises:
        AudioError: as `probe`.
    """
    with open_sound(path) as sound:
        blocks = checked_blocks(sound, block_s)
        first = next(blocks, None)
        if first is None:
            raise AudioError("holds no samples")
        yield from resampled_blocks(itertools.chain([first], blocks), sound.sample_rate_hz, sample_rate_hz)


def resampled_blocks(blocks: Iterable[Array], from_hz: int, to_hz: int) -> Iterator[Array]:
    """Resample a wave in blocks as one stream; what has the rate is passed on.

    Args:
        blocks: (S,) float32 each, one at least.
        from_hz: their sample rate.
        to_hz: that of the result.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    resample = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    samples, first = 0, np.zeros(0, np.float32)
    for block in blocks:
        first = first if len(first) else block[:1]
        resampled = resample.resample_chunk(block)
        samples += len(resampled)
        yield resampled
    last = resample.resample_chunk(np.zeros(0, np.float32), last=True)
    # a clip shorter than one sample at the new rate still gets one
    yield last if samples + len(last) else first


def is_sound(wave: Array) -> bool:
    """Return whether every sample of (S,) is finite and at most `MAX_SAMPLE`."""
    with np.errstate(over="ignore", invalid="ignore"):
        # the sum of squares is cheaper than the maximum, and nearly always sufficient
        return bool(np.dot(wave, wave) <= MAX_SAMPLE**2) or bool(np.abs(wave).max(initial=0) <= MAX_SAMPLE)


def checked_blocks(sound: OpenSound, block_s: float, start: int = 0) -> Iterator[Array]:
    """Yield blocks of samples from `start` on, checked.

    Raises:
        AudioError: as `probe`.
    """
    rate_hz = sound.sample_rate_hz
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioError(f"has a sample rate of {rate_hz} Hz, expected {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    if sound.channels > MAX_CHANNELS:
        raise AudioError(f"has {sound.channels} channels, expected at most {MAX_CHANNELS}")
    samples = start
    for block in sound.blocks(max(1, round(block_s * rate_hz)), start):
        samples += len(block)
        if samples > MAX_DURATION_S * rate_hz:
            raise AudioError(f"is longer than {MAX_DURATION_S // 3600} hours; cut it")
        if not is_sound(block):
            peak = float(np.abs(block).max())
            if not np.isfinite(peak):
                raise AudioError("holds NaN or infinite samples")
            raise AudioError(f"holds a sample of {peak:.3g}, where full scale is 1; expected at most {MAX_SAMPLE:g}")
        yield block
