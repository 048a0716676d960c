"""Copies of a recording that sound like it: softer, without its start, or coded as MP3 with loss."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Sample rates that MP3 has, of MPEG 1, 2 and 2.5.
MP3_RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def softer(wave: Array, decibels: float) -> Array:
    """Return a wave that is so much softer."""
    return wave * np.float32(10 ** (-decibels / 20))


def without_start(wave: Array, sample_rate_hz: int, seconds: float) -> Array:
    """Return a wave without its first seconds; empty if it is not longer."""
    return wave[round(seconds * sample_rate_hz) :]


def mp3_rate(sample_rate_hz: int) -> int:
    """Return the lowest sample rate of MP3 that loses nothing, or the highest one."""
    return next((rate for rate in MP3_RATES_HZ if rate >= sample_rate_hz), MP3_RATES_HZ[-1])


def write_mp3(path: Path, wave: Array, sample_rate_hz: int, kbps: int) -> None:
    """Code a wave as MP3, at a constant bit rate.

    Args:
        path: of the file; it is replaced.
        wave: (S,) float32, mono.
        sample_rate_hz: one of `MP3_RATES_HZ`.
        kbps: the bit rate, in kbit/s.
    """
    with av.open(str(path), "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=sample_rate_hz, layout="mono", format="fltp")
        stream.bit_rate = 1000 * kbps
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None], np.float32), format="fltp", layout="mono")
        frame.sample_rate = sample_rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
