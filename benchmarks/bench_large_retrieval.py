"""All metrics of 100 000 captions in 20 000 clips: `python -m benchmarks.bench_large_retrieval`.

The reference is the least that any retrieval has to do: the matrix product in blocks and torch.topk of 16, with no
check, no ranks, no metrics and no rule for ties. Both are timed on a part of the queries and extrapolated.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import Result, alternate, report
from utils.metric_utils.ranking import Ranking, Relevance, rank_and_top_k
from utils.metric_utils.retrieval import TEXT_TO_AUDIO, retrieval_metrics
from utils.metric_utils.scores import BLOCK_BYTES, EmbeddingScores

CLIPS = 20_000
CAPTIONS_PER_CLIP = 5
CAPTIONS = CLIPS * CAPTIONS_PER_CLIP
EMBEDDING_DIM = 300
KEPT = 16  # candidates of each query
BLOCK_ROWS = BLOCK_BYTES // (CLIPS * 4)  # queries a block, as `EmbeddingScores` takes them
PART = 5 * BLOCK_ROWS  # queries timed

Embeddings = NDArray[np.float32]


def measure() -> Result:
    """Median seconds for all queries, from embeddings to the metrics and the best 16."""
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((CLIPS, EMBEDDING_DIM), dtype=np.float32)
    text = rng.standard_normal((PART, EMBEDDING_DIM), dtype=np.float32)
    ranks = rng.integers(1, CLIPS + 1, CAPTIONS)
    measurements = {
        "bare": lambda: seconds_of_all(lambda: bare_product_and_top(text, audio)),
        "ours": lambda: seconds_of_all(lambda: rank(text, audio)) + seconds_of_metrics(ranks),
    }
    times = alternate(measurements, repeats=7)
    return Result(
        name=f"ranks, best {KEPT}, all metrics, {CAPTIONS} x {CLIPS}",
        reference=times["bare"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=0.5,
        note=f"reference: bare blocked product + torch.topk; {PART} queries timed; "
        f"{torch.get_num_threads()} threads; {CAPTIONS / times['ours']:.0f} queries a second",
    )


def bare_product_and_top(text: Embeddings, audio: Embeddings) -> None:
    """Scores of a block of queries after another, in one buffer, and the best of each query."""
    queries, candidates = torch.from_numpy(text), torch.from_numpy(audio)
    buffer = torch.empty(BLOCK_ROWS, len(candidates))
    for block in queries.split(BLOCK_ROWS):
        scores = torch.mm(block, candidates.T, out=buffer[: len(block)])
        torch.topk(scores, KEPT, dim=1)


def rank(text: Embeddings, audio: Embeddings) -> Ranking:
    """Rank of the one relevant clip of each caption, and the best clips, through this project's functions."""
    captions = np.arange(len(text))
    relevance = Relevance(captions, captions // CAPTIONS_PER_CLIP, len(text), len(audio))
    return rank_and_top_k(EmbeddingScores(text, audio), relevance, KEPT)


def seconds_of_all(function: Callable[[], object]) -> float:
    """Seconds that all captions would take, from those of a part."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * CAPTIONS / PART


def seconds_of_metrics(ranks: NDArray[np.int64]) -> float:
    """Seconds from the ranks of all captions to every metric."""
    start = time.perf_counter()
    retrieval_metrics(ranks, np.arange(CAPTIONS), CAPTIONS, TEXT_TO_AUDIO)
    return time.perf_counter() - start


if __name__ == "__main__":
    report(measure)
