"""Log-mels of MP3 files, decoding included, compared with librosa: `python -m benchmarks.bench_log_mel_mp3`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from benchmarks.bench_log_mel import with_librosa
from benchmarks.log_mel_corpus import DURATION_S, work_of
from benchmarks.timing import Result, alternate, one_thread, report, seconds
from utils.artefact_utils import Clip
from utils.executors import unseen

CLIPS = 16
# FMA's clips are at 44.1 kHz; a few at 48 kHz are resampled.
RATES_HZ = [44_100, 44_100, 44_100, 48_000]


def measure() -> Result:
    """Measure the median seconds per clip, each in one process with one thread."""
    with one_thread(), threadpool_limits(1), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = write_mp3_clips(folder)
        files = [folder / clip.path for clip in clips]
        work, chunks = work_of(folder, clips, folder / "ours.hdf5")

        def ours() -> None:
            for chunk in chunks:
                work(chunk, unseen)
            work.parts.assemble([clip.fid for clip in clips], "benchmark")

        times = alternate(
            {
                "librosa": seconds(lambda: with_librosa(files, folder / "librosa.hdf5", 44_100)),
                "ours": seconds(ours),
            },
            repeats=5,
        )
        with h5py.File(folder / "librosa.hdf5") as theirs, h5py.File(folder / "ours.hdf5") as mine:
            common = [(theirs[clip.fid][:1400], mine[clip.fid][:1400]) for clip in clips]
        difference = max(float(np.median(np.abs(a - b))) for a, b in common)
    return Result(
        name="log-mel of 30-s stereo mp3, 1 thread, a clip",
        reference=times["librosa"] / CLIPS,
        ours=times["ours"] / CLIPS,
        unit="s",
        minimum_ratio=1.2,
        note=f"reference: librosa; values differ by {difference:.1e} (median of a clip at most)",
    )


def write_mp3_clips(folder: Path) -> list[Clip]:
    """Write stereo MP3 files of 30 s: chords that fade, each with noise."""
    rng = np.random.default_rng(0)
    clips = []
    for number in range(CLIPS):
        rate = RATES_HZ[number % len(RATES_HZ)]
        at_s = np.arange(int(DURATION_S * rate)) / rate
        tones = 110 * 2 ** (rng.integers(0, 48, 6) / 12)
        chord = sum(np.sin(2 * np.pi * tone * at_s) for tone in tones) * np.exp(-3 * (at_s % 0.7))
        wave = 0.05 * chord[:, None] + 0.02 * rng.standard_normal((len(at_s), 2))
        soundfile.write(folder / f"{number}.mp3", wave, rate, format="MP3")
        clips.append(Clip(f"fid{number:06d}", f"{number}.mp3", f"{number}.mp3", DURATION_S, rate, 2, f"{number}"))
    return clips


if __name__ == "__main__":
    report(measure)
