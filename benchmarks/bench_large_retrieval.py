"""All metrics of 100 000 captions in 20 000 clips: `python -m benchmarks.bench_large_retrieval`.

The reference is the minimum of any retrieval: the matrix product in blocks and torch.topk of 16, without checks, ranks,
metrics and a rule for ties. Both are timed on some of the queries, and extrapolated.
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
TOP_K = 16
BLOCK_ROWS = BLOCK_BYTES // (CLIPS * 4)  # queries per block, as in `EmbeddingScores`
TIMED_QUERIES = 5 * BLOCK_ROWS

Embeddings = NDArray[np.float32]


def measure() -> Result:
    """Measure the median seconds for all queries, from embeddings to metrics and top 16."""
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((CLIPS, EMBEDDING_DIM), dtype=np.float32)
    text = rng.standard_normal((TIMED_QUERIES, EMBEDDING_DIM), dtype=np.float32)
    ranks = rng.integers(1, CLIPS + 1, CAPTIONS)
    measurements = {
        "bare": lambda: seconds_of_all(lambda: bare_product_and_top(text, audio)),
        "ours": lambda: seconds_of_all(lambda: rank(text, audio)) + seconds_of_metrics(ranks),
    }
    times = alternate(measurements, repeats=7)
    return Result(
        name=f"ranks, best {TOP_K}, all metrics, {CAPTIONS} x {CLIPS}",
        reference=times["bare"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=0.5,
        note=f"reference: bare blocked product + torch.topk; {TIMED_QUERIES} queries timed; "
        f"{torch.get_num_threads()} threads; {CAPTIONS / times['ours']:.0f} queries a second",
    )


def bare_product_and_top(text: Embeddings, audio: Embeddings) -> None:
    """Compute scores block by block in one buffer, and the top candidates of each query."""
    queries, candidates = torch.from_numpy(text), torch.from_numpy(audio)
    buffer = torch.empty(BLOCK_ROWS, len(candidates))
    for block in queries.split(BLOCK_ROWS):
        scores = torch.mm(block, candidates.T, out=buffer[: len(block)])
        torch.topk(scores, TOP_K, dim=1)


def rank(text: Embeddings, audio: Embeddings) -> Ranking:
    """Compute the rank of the relevant clip of each caption, and the top clips, with this project's functions."""
    captions = np.arange(len(text))
    relevance = Relevance(captions, captions // CAPTIONS_PER_CLIP, len(text), len(audio))
    return rank_and_top_k(EmbeddingScores(text, audio), relevance, TOP_K)


def seconds_of_all(function: Callable[[], object]) -> float:
    """Extrapolate the seconds for all captions from those of the timed ones."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * CAPTIONS / TIMED_QUERIES


def seconds_of_metrics(ranks: NDArray[np.int64]) -> float:
    """Measure the seconds from the ranks of all captions to all metrics."""
    start = time.perf_counter()
    retrieval_metrics(ranks, np.arange(CAPTIONS), CAPTIONS, TEXT_TO_AUDIO)
    return time.perf_counter() - start


if __name__ == "__main__":
    report(measure)
