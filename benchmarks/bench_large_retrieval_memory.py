"""Peak memory of all metrics of 100 000 captions in 20 000 clips: `python -m benchmarks.bench_large_retrieval_memory`.

It runs in a process of its own, so that the peak is that of imports, embeddings and blocks; the 95 % confidence
intervals are included, whose resamples of 100 000 queries are in memory a few at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.bench_metrics_memory import MB
from benchmarks.timing import Result, report
from utils.metric_utils.intervals import bootstrap_intervals, jackknife_intervals
from utils.metric_utils.ranking import Relevance, rank_and_top_k
from utils.metric_utils.retrieval import TEXT_TO_AUDIO, per_query_values, retrieval_metrics
from utils.metric_utils.scores import EmbeddingScores
from utils.process_utils import peak_memory

CLIPS = 20_000
CAPTIONS_PER_CLIP = 5
CAPTIONS = CLIPS * CAPTIONS_PER_CLIP
EMBEDDING_DIM = 300
TOP_K = 16


def measure() -> Result:
    """Measure the peak memory of the whole process; the reference is the size of the score matrix (not allocated)."""
    script = "from benchmarks import bench_large_retrieval_memory as bench; bench.run()"
    root = Path(__file__).parents[1]
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    found = json.loads(process.stdout)
    return Result(
        name=f"peak memory, all metrics, {CAPTIONS} x {CLIPS}",
        reference=CLIPS * CAPTIONS * np.dtype(np.float32).itemsize / MB,
        ours=found["peak_mb"],
        unit="MB",
        minimum_ratio=8,
        limit=1000,
        note=f"reference: the float32 matrix alone; ranks, best {TOP_K}, metrics and intervals of all captions "
        f"took {found['wall_s']:.0f} s",
    )


def run() -> None:
    """Compute ranks, metrics and intervals, text to audio, of random embeddings; print peak and time as JSON."""
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((CLIPS, EMBEDDING_DIM), dtype=np.float32)
    text = rng.standard_normal((CAPTIONS, EMBEDDING_DIM), dtype=np.float32)
    captions = np.arange(CAPTIONS)
    clips = captions // CAPTIONS_PER_CLIP
    relevance = Relevance(captions, clips, CAPTIONS, CLIPS)
    ranks = rank_and_top_k(EmbeddingScores(text, audio), relevance, TOP_K).ranks
    retrieval_metrics(ranks, captions, CAPTIONS, TEXT_TO_AUDIO)
    values = per_query_values(ranks, captions, CAPTIONS, TEXT_TO_AUDIO)
    jackknife_intervals(values, clips)
    bootstrap_intervals(values, clips)
    print(json.dumps({"peak_mb": peak_memory() / MB, "wall_s": time.perf_counter() - start}))


if __name__ == "__main__":
    report(measure)
