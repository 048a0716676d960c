"""Log-mels of 30-s clips, from file to HDF5, compared with librosa: `python -m benchmarks.bench_log_mel`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import librosa
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.log_mel_corpus import FRONT_END, work_of, write_clips
from benchmarks.timing import Result, alternate, report, seconds
from utils.executors import unseen

CLIPS = 20


def with_librosa(files: list[Path], output: Path, sample_rate_hz: int | None = None) -> None:
    """Make the features with librosa: load, melspectrogram, logarithm, one HDF5 dataset per clip."""
    with h5py.File(output, "w") as file:
        for number, path in enumerate(files):
            wave, sample_rate = librosa.load(path, sr=sample_rate_hz, mono=True)
            mel = librosa.feature.melspectrogram(
                y=wave,
                sr=sample_rate,
                n_fft=FRONT_END.fft_size,
                win_length=FRONT_END.window_samples,
                hop_length=FRONT_END.hop_samples,
                n_mels=FRONT_END.n_mels,
            )
            file[f"fid{number:06d}"] = np.log(mel + FRONT_END.offset).T


def bare_ffts(clips: int) -> None:
    """Compute only the Fourier transforms of as many frames, in blocks that fit in the cache."""
    block = torch.randn(256, FRONT_END.fft_size)
    for _ in range(clips * FRONT_END.frames(30.0) // 256):
        torch.fft.rfft(block)


def measure() -> Result:
    """Measure the median seconds per clip, each in one process with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), tempfile.TemporaryDirectory() as name:
            return _measure(Path(name))
    finally:
        torch.set_num_threads(threads)


def _measure(folder: Path) -> Result:
    clips = write_clips(folder, CLIPS, CLIPS)
    files = [folder / clip.path for clip in clips]
    work, chunks = work_of(folder, clips, folder / "ours.hdf5")

    def ours() -> None:
        for chunk in chunks:
            work(chunk, unseen)
        work.parts.assemble([clip.fid for clip in clips], "benchmark")

    times = alternate(
        {
            "librosa": seconds(lambda: with_librosa(files, folder / "librosa.hdf5")),
            "ours": seconds(ours),
            "ffts": seconds(lambda: bare_ffts(CLIPS)),
        },
        repeats=5,
    )
    with h5py.File(folder / "librosa.hdf5") as theirs, h5py.File(folder / "ours.hdf5") as mine:
        difference = max(float(np.abs(theirs[clip.fid][:] - mine[clip.fid][:]).max()) for clip in clips)
    return Result(
        name="log-mel of 30-s 44.1 kHz clips, 1 thread, a clip",
        reference=times["librosa"] / CLIPS,
        ours=times["ours"] / CLIPS,
        unit="s",
        minimum_ratio=1.5,
        note=f"reference: librosa; values differ by {difference:.1e}; the FFTs alone: {times['ffts'] / CLIPS:.4f} s",
    )


if __name__ == "__main__":
    report(measure)
