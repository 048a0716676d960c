"""FMA's 518 features on two processes compared with one: `python -m benchmarks.bench_track_features`.

On a virtual machine of 2 cores, two plain processes side by side are 1.9 times as fast as one. What is below that is
the start of the workers, whose first clip takes half as long again: they touch their memory for the first time.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.log_mel_corpus import write_clips
from benchmarks.timing import Result, alternate, report, seconds
from preprocessing.audio_features import feature_blocks
from utils.artefact_utils import TrackFeatureParts
from utils.audio_utils.track_features import load_librosa
from utils.data_utils.clip_writing import ClipWork, groups_of
from utils.executors import Processes, run_chunks

CLIPS = 24


def measure() -> Result:
    """Measure the median seconds of a split with one and with two worker processes, including their start."""
    load_librosa()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = write_clips(folder, 8, CLIPS)
        parts = TrackFeatureParts(folder / "features.hdf5")
        work, chunks = ClipWork(parts, partial(feature_blocks, folder)), groups_of(clips, part_s=60.0)
        times = alternate(
            {
                "one": seconds(lambda: run_chunks(Processes(1), work, chunks, "one", quiet=True)),
                "two": seconds(lambda: run_chunks(Processes(2), work, chunks, "two", quiet=True)),
            },
            repeats=3,
        )
    return Result(
        name=f"518 features of {CLIPS} 30-s clips on 2 cores",
        reference=times["one"],
        ours=times["two"],
        unit="s",
        minimum_ratio=1.7,
        note=f"reference: the same on one core, {times['one'] / CLIPS:.2f} s a clip",
    )


if __name__ == "__main__":
    report(measure)
