"""Peak memory of scores and metrics at 20 000 x 100 000: `python -m benchmarks.bench_metrics_memory`.

The work runs in a process of its own, so that its peak is that of imports, embeddings and blocks alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import Result, report
from utils.metric_utils.ranking import Relevance, rank_and_top_k, ranks_of_relevant
from utils.metric_utils.retrieval import AUDIO_TO_TEXT, retrieval_metrics
from utils.metric_utils.scores import EmbeddingScores
from utils.process_utils import peak_memory

CLIPS = 20_000
CAPTIONS_PER_CLIP = 5
CAPTIONS = CLIPS * CAPTIONS_PER_CLIP
EMBEDDING_DIM = 300
MB = 1e6


def measure() -> Result:
    """Measure the peak memory of the whole process; the reference is the size of the score matrix (not allocated)."""
    script = "from benchmarks import bench_metrics_memory as bench; bench.run()"
    root = Path(__file__).parents[1]
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    found = json.loads(process.stdout)
    return Result(
        name=f"peak memory, {CLIPS} clips x {CAPTIONS} captions",
        reference=CLIPS * CAPTIONS * np.dtype(np.float32).itemsize / MB,
        ours=found["peak_mb"],
        unit="MB",
        minimum_ratio=8,
        limit=1000,
        note=f"reference: the float32 matrix alone; both directions with the best 16 took {found['wall_s']:.0f} s",
    )


def run() -> None:
    """Compute scores and metrics of random embeddings in both directions; print peak and time as JSON."""
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((CLIPS, EMBEDDING_DIM), dtype=np.float32)
    text = rng.standard_normal((CAPTIONS, EMBEDDING_DIM), dtype=np.float32)
    captions = np.arange(CAPTIONS)
    clips = captions // CAPTIONS_PER_CLIP
    relevance = Relevance(captions, clips, CAPTIONS, CLIPS)
    to_audio = rank_and_top_k(EmbeddingScores(text, audio), relevance, k=16)
    retrieval_metrics(to_audio.ranks, captions, CAPTIONS)
    text_ranks = ranks_of_relevant(EmbeddingScores(audio, text), clips, captions)
    retrieval_metrics(text_ranks, clips, CLIPS, AUDIO_TO_TEXT)
    print(json.dumps({"peak_mb": peak_memory() / MB, "wall_s": time.perf_counter() - start}))


if __name__ == "__main__":
    report(measure)
