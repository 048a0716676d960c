"""Decode and resample: files to mono float32 waves, whole or in blocks."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Array = NDArray[np.float32]

# libsndfile shortens a truncated file without an error; its log lines say so, for WAV, AIFF, AU and RF64.
_SHORTENED = re.compile(r"^\s*(?:data|SSND|Data Size|Riff size)\s*:\s*(\d+)\s*\(should be (\d+)\)", re.MULTILINE)


class AudioError(ValueError):
    """A clip that cannot be decoded; the message is the reason, without the file's name."""


class ClipFacts(NamedTuple):
    """What a decoded file holds."""

    duration_s: float
    sample_rate_hz: int
    channels: int


def probe(path: Path, block_s: float = 30.0) -> ClipFacts:
    """Decode a whole file, block by block, to learn that it can be decoded and how long it is.

    Raises:
        AudioError: not audio, truncated, empty, or with samples that are not finite.
    """
    samples = 0
    with _opened(path) as sound:
        for block in _blocks(sound, block_s):
            samples += len(block)
        facts = ClipFacts(samples / sound.samplerate, sound.samplerate, sound.channels)
    if samples == 0:
        raise AudioError("holds no samples")
    return facts


def why_refused(wave: Array, sample_rate_hz: int, min_samples: int) -> str:
    """Why an encoder of vectors or waves cannot take a clip; empty when nothing speaks against it.

    Args:
        wave: (S,) of the clip.
        sample_rate_hz: of the wave.
        min_samples: the network's receptive field.
    """
    if len(wave) < min_samples:
        found_ms, wanted_ms = (1000 * n / sample_rate_hz for n in (len(wave), min_samples))
        return f"too short: {found_ms:.1f} ms, the network's receptive field is {wanted_ms:.1f} ms"
    return "" if wave.any() else "silent: every sample is 0"


def header_duration_s(path: Path) -> float:
    """How long a file says it is, unverified: to plan batches by; 0.0 where it does not say."""
    try:
        return float(soundfile.info(os.fsencode(path)).duration)
    except (soundfile.LibsndfileError, OSError):
        return 0.0


def read_wave(path: Path, sample_rate_hz: int) -> Array:
    """The whole clip: mono (the mean of its channels), resampled.

    Returns:
        (S,) float32, full scale is +-1.
    Raises:
        AudioError: as `probe`.
    """
    return np.concatenate(list(wave_blocks(path, sample_rate_hz, block_s=3600.0)))


def wave_blocks(path: Path, sample_rate_hz: int, block_s: float) -> Iterator[Array]:
    """The clip in blocks of at most `block_s` seconds: mono, resampled as one stream.

    Yields:
        (S,) float32, full scale is +-1; the blocks, concatenated, are `read_wave`'s clip when it fits one block,
        and equal it to the resampler's rounding when it does not.
    Raises:
        AudioError: as `probe`.
    """
    with _opened(path) as sound:
        blocks = _blocks(sound, block_s)
        first = next(blocks, None)
        if first is None:
            raise AudioError("holds no samples")
        whole = itertools.chain([first], blocks)
        if sound.samplerate == sample_rate_hz:
            yield from whole
            return
        resample = soxr.ResampleStream(sound.samplerate, sample_rate_hz, 1, dtype="float32")
        samples = 0
        for block in whole:
            resampled = resample.resample_chunk(block)
            samples += len(resampled)
            yield resampled
        last = resample.resample_chunk(np.zeros(0, np.float32), last=True)
        # a clip shorter than one sample at the new rate still is one
        yield last if samples + len(last) else first[:1]


def _opened(path: Path) -> soundfile.SoundFile:
    try:
        sound = soundfile.SoundFile(os.fsencode(path))  # as bytes: a name need not be UTF-8
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"cannot be decoded: {_reason(error)}") from error
    missing = _missing_bytes(sound)
    if missing:
        sound.close()
        raise AudioError(f"is truncated: {missing} bytes of its samples are missing")
    return sound


def _missing_bytes(sound: soundfile.SoundFile) -> int:
    """How many bytes of sample data the header promises and the file does not hold."""
    found = _SHORTENED.search(sound.extra_info)
    if not found or _is_unknown(int(found[1])):
        return 0
    return max(0, int(found[1]) - int(found[2]))


def _is_unknown(size: int) -> bool:
    """Whether a writer that streams to a pipe left this size in the header, since it cannot go back to fill it in."""
    # 0, ffmpeg's 0xFFFFFFFF, and sox's 0x7FFFF000 (wav) and 0x7F000000 (aiff), less a rest of a block
    return size == 0 or 0x7F000000 <= size <= 0x7FFFFFFF or size >= 0xFFFFF000


def _blocks(sound: soundfile.SoundFile, block_s: float) -> Iterator[Array]:
    size = max(1, round(block_s * sound.samplerate))
    while True:
        try:
            block = sound.read(min(size, sound.frames) or size, dtype="float32", always_2d=True)  # (S, channels)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"cannot be decoded: {_reason(error)}") from error
        if not len(block):
            return
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if not np.isfinite(np.dot(mono, mono)) and not np.isfinite(mono).all():
            raise AudioError("holds NaN or infinite samples")
        yield mono


def _reason(error: Exception) -> str:
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return str(text).rstrip(". ")
