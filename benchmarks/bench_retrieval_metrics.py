"""Scores and all metrics of Clotho's evaluation split: `python -m benchmarks.bench_retrieval_metrics`.

The reference computes the score of one pair at a time and sorts each query's list, as the DCASE 2023 baseline does
(which also encodes the caption again for every pair; not here). It is timed on some of the pairs, and extrapolated.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.timing import Result, alternate, one_thread, report, seconds
from utils.metric_utils.ranking import ranks_of_relevant
from utils.metric_utils.retrieval import AUDIO_TO_TEXT, retrieval_metrics
from utils.metric_utils.scores import EmbeddingScores

CLIPS = 1_045
CAPTIONS_PER_CLIP = 5
CAPTIONS = CLIPS * CAPTIONS_PER_CLIP
EMBEDDING_DIM = 300
TIMED_CLIPS = 8  # with all captions
TIMED_QUERIES = 50  # of each direction

Embeddings = NDArray[np.float32]
PairScore = Callable[[Tensor, Tensor], Tensor]


def measure() -> Result:
    """Measure the median seconds from embeddings to all metrics of both directions."""
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((CLIPS, EMBEDDING_DIM), dtype=np.float32)
    text = rng.standard_normal((CAPTIONS, EMBEDDING_DIM), dtype=np.float32)
    measurements = {
        "cosine": lambda: seconds_one_pair_at_a_time(audio, text, _cosine_of_pair),
        "dot": lambda: seconds_one_pair_at_a_time(audio, text, torch.dot),
        "ours": seconds(lambda: all_metrics(audio, text)),
    }
    with one_thread():
        times = alternate(measurements, repeats=7)
    dot = f"{times['dot']:.3g} s, {times['dot'] / times['ours']:.0f} x"
    return Result(
        name=f"scores + all metrics, {CLIPS} clips x {CAPTIONS} captions",
        reference=times["cosine"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=500,
        limit=1.5,
        note=f"one thread; reference: cosine of one pair at a time, extrapolated; bare torch.dot: {dot}",
    )


def all_metrics(audio: Embeddings, text: Embeddings) -> list[dict[str, float]]:
    """Compute all metrics of both directions with this project's functions."""
    captions = np.arange(CAPTIONS)
    clips = captions // CAPTIONS_PER_CLIP
    to_audio = EmbeddingScores(text, audio, similarity="cosine")
    to_text = EmbeddingScores(audio, text, similarity="cosine")
    audio_ranks = ranks_of_relevant(to_audio, captions, clips)
    text_ranks = ranks_of_relevant(to_text, clips, captions)
    return [
        retrieval_metrics(audio_ranks, captions, CAPTIONS),
        retrieval_metrics(text_ranks, clips, CLIPS, AUDIO_TO_TEXT),
    ]


def seconds_one_pair_at_a_time(audio: Embeddings, text: Embeddings, pair_score: PairScore) -> float:
    """Extrapolate the seconds to score every pair and to sort every query's list."""
    clips, captions = torch.from_numpy(audio), torch.from_numpy(text)
    start = time.perf_counter()
    rows = [score_clip(clips[clip], captions, pair_score) for clip in range(TIMED_CLIPS)]
    scored = time.perf_counter()
    for query in range(TIMED_QUERIES):
        caption_scores = rows[query % TIMED_CLIPS]
        measure_query(caption_scores, {query * CAPTIONS_PER_CLIP + n for n in range(CAPTIONS_PER_CLIP)})
    audio_to_text = time.perf_counter()
    for query in range(TIMED_QUERIES):
        clip_scores = {clip: rows[query % TIMED_CLIPS][clip] for clip in range(CLIPS)}
        measure_query(clip_scores, {query // CAPTIONS_PER_CLIP})
    text_to_audio = time.perf_counter()
    return (
        (scored - start) * CLIPS / TIMED_CLIPS
        + (audio_to_text - scored) * CLIPS / TIMED_QUERIES
        + (text_to_audio - audio_to_text) * CAPTIONS / TIMED_QUERIES
    )


def score_clip(clip: Tensor, captions: Tensor, pair_score: PairScore) -> dict[int, float]:
    """Compute the score of one clip with each caption, one at a time."""
    return {number: pair_score(clip, captions[number]).item() for number in range(len(captions))}


def measure_query(scores: dict[int, float], relevant: set[int]) -> dict[str, float]:
    """Compute R@k, AP@k and the best rank of one query from its sorted list."""
    ranked = sorted(scores, key=lambda candidate: -scores[candidate])
    positions = [rank for rank, candidate in enumerate(ranked, start=1) if candidate in relevant]
    metrics = {f"R@{k}": sum(p <= k for p in positions) / len(relevant) for k in (1, 5, 10)}
    for k in (10, 16):
        precision = [i / p for i, p in enumerate(positions, start=1) if p <= k]
        metrics[f"AP@{k}"] = sum(precision) / len(relevant)
    return {**metrics, "best_rank": float(positions[0])}


def _cosine_of_pair(clip: Tensor, caption: Tensor) -> Tensor:
    return F.cosine_similarity(clip, caption, dim=-1)


if __name__ == "__main__":
    report(measure)
