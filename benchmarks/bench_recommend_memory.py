"""Peak memory of an exact search among 100 000 tracks, for each of them: `python -m benchmarks.bench_recommend_memory`.

It runs in a process of its own, so that the peak is that of imports, embeddings and blocks. There is no index of faiss:
`IndexFlatIP` of faiss-cpu 1.15.1 with 2 threads took 1.34 s of CPU time for 1 000 queries, these blocks 0.77 s.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.bench_metrics_memory import MB
from benchmarks.bench_recommend import NEIGHBOURS, random_tracks
from benchmarks.timing import Result, report
from utils.metric_utils.recommendation.neighbours import nearest_tracks
from utils.metric_utils.recommendation.similarity import track_scores
from utils.metric_utils.recommendation.tracks import Exclusions
from utils.process_utils import peak_memory

TRACKS = 100_000


def measure() -> Result:
    """Measure the peak memory of the whole process; the reference is the size of the score matrix (not allocated)."""
    script = "from benchmarks import bench_recommend_memory as bench; bench.run()"
    root = Path(__file__).parents[1]
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    found = json.loads(process.stdout)
    return Result(
        name=f"peak memory, top {NEIGHBOURS} of {TRACKS} x {TRACKS}",
        reference=TRACKS**2 * np.dtype(np.float32).itemsize / MB,
        ours=found["peak_mb"],
        unit="MB",
        minimum_ratio=40,
        limit=800,
        note=f"reference: the float32 matrix alone; the lists of all tracks took {found['wall_s']:.0f} s",
    )


def run() -> None:
    """Find the nearest tracks by other artists; print peak and time as JSON."""
    embeddings, artist = random_tracks(TRACKS)
    start = time.perf_counter()
    nearest_tracks(track_scores(embeddings), NEIGHBOURS, Exclusions(TRACKS, artist))
    print(json.dumps({"peak_mb": peak_memory() / MB, "wall_s": time.perf_counter() - start}))


if __name__ == "__main__":
    report(measure)
