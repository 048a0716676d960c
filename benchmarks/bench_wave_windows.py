"""Random windows of 5 s of MP3s of 30 s, against decoding each whole: `python -m benchmarks.bench_wave_windows`."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.timing import Result, alternate, report, seconds
from utils.audio_utils import read_wave, read_window

CLIPS, DURATION_S, WINDOW_S = 20, 30, 5
FILE_RATE_HZ, RATE_HZ = 44_100, 16_000


def write_mp3(path: Path, seed: int) -> None:
    """Write noise of changing loudness, mono, 128 kbit/s."""
    rng = np.random.default_rng(seed)
    wave = (0.2 * rng.standard_normal(DURATION_S * FILE_RATE_HZ)).astype(np.float32)
    with av.open(str(path), "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=FILE_RATE_HZ, options={"b": "128k"})
        stream.layout = "mono"
        for start in range(0, len(wave), FILE_RATE_HZ):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + FILE_RATE_HZ], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = FILE_RATE_HZ, start, Fraction(1, FILE_RATE_HZ)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def measure() -> Result:
    """Median seconds a window, decoded and resampled to 16 kHz, in one process."""
    starts = np.random.default_rng(0).integers(0, (DURATION_S - WINDOW_S) * RATE_HZ, CLIPS).tolist()
    samples = WINDOW_S * RATE_HZ
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / f"{number}.mp3" for number in range(CLIPS)]
        for number, path in enumerate(paths):
            write_mp3(path, number)

        def whole() -> list[np.ndarray]:
            return [
                read_wave(path, RATE_HZ)[start : start + samples] for path, start in zip(paths, starts, strict=True)
            ]

        def ours() -> list[np.ndarray]:
            return [read_window(path, RATE_HZ, start, samples) for path, start in zip(paths, starts, strict=True)]

        for one, other in zip(whole(), ours(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        found = alternate({"whole": seconds(whole), "ours": seconds(ours)}, repeats=3)
    return Result(
        name=f"windows of {WINDOW_S} s of {DURATION_S}-s MP3s, 44.1 -> 16 kHz",
        reference=found["whole"] / CLIPS,
        ours=found["ours"] / CLIPS,
        unit="s",
        minimum_ratio=2.5,
        note="reference: each clip decoded and resampled whole, then cut; the samples are the same to 1e-5",
    )


if __name__ == "__main__":
    report(measure)
