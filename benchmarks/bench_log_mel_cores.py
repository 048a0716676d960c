"""Log-mels on two processes compared with one: `python -m benchmarks.bench_log_mel_cores`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from benchmarks.log_mel_corpus import work_of, write_clips
from benchmarks.timing import Result, alternate, report, seconds
from utils.executors import Processes, run_chunks

CLIPS = 400


def measure() -> Result:
    """Measure the median seconds of a split with one and with two worker processes, including their start."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one core is one thread
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = write_clips(folder, 20, CLIPS)
        work, chunks = work_of(folder, clips, folder / "ours.hdf5")
        times = alternate(
            {
                "one": seconds(lambda: run_chunks(Processes(1), work, chunks, "one", quiet=True)),
                "two": seconds(lambda: run_chunks(Processes(2), work, chunks, "two", quiet=True)),
            },
            repeats=3,
        )
    torch.set_num_threads(threads)
    return Result(
        name=f"log-mel of {CLIPS} clips on 2 cores",
        reference=times["one"],
        ours=times["two"],
        unit="s",
        minimum_ratio=1.7,
        note="reference: the same on one core",
    )


if __name__ == "__main__":
    report(measure)
