"""Ranks of the relevant items -> R@k, AP@k, median rank, accuracy@k.

Every function takes the R ranks with the query of each, `number_of_queries` Q, and raises ValueError for
undefined input: arrays that do not match, a rank below 1, or a query without relevant item. Those that
return (Q,) give one value a query, whose mean is the metric: intervals by resampling need them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Cutoffs:
    """Which cut-offs k to report of each metric.

    Attributes:
        recall: of `R@k`, the share of all relevant items that are among the first k.
        average_precision: of `mAP@k`.
        hit: of `hit@k`, whether any relevant item is among the first k.
    """

    recall: tuple[int, ...] = (1, 5, 10)
    average_precision: tuple[int, ...] = (10, 16)
    hit: tuple[int, ...] = ()


TEXT_TO_AUDIO = Cutoffs()
# With five captions a clip, R@1 cannot exceed 0.2 (DCASE's convention); hit@k is the best of five
# (LAION-CLAP, WavCaps). They are not comparable, hence the two names.
AUDIO_TO_TEXT = Cutoffs(hit=(1, 5, 10))


def retrieval_metrics(
    ranks: Indices, query_index: Indices, number_of_queries: int, cutoffs: Cutoffs = TEXT_TO_AUDIO
) -> dict[str, float]:
    """All metrics of one direction.

    Args:
        ranks: (R,) rank of each relevant item, from 1.
        query_index: (R,) its query.
        number_of_queries: Q.
        cutoffs: which k; `AUDIO_TO_TEXT` adds hit@k.
    Returns:
        `R@k`, `mAP@k`, `hit@k` in [0, 1], higher is better, and `median_rank` >= 1, lower is better.
    """
    given = ranks, query_index, number_of_queries
    return {
        **{f"R@{k}": float(recall_at_k(*given, k).mean()) for k in cutoffs.recall},
        **{f"mAP@{k}": float(average_precision_at_k(*given, k).mean()) for k in cutoffs.average_precision},
        "median_rank": median_rank(*given),
        **{f"hit@{k}": accuracy_at_k(*given, k) for k in cutoffs.hit},
    }


def recall_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> Values:
    """(Q,) share of each query's relevant items with rank <= k, in [0, 1]; higher is better.

    With one relevant item it is 1 or 0; with m items it cannot exceed k / m.
    """
    counts = _relevant_counts(ranks, query_index, number_of_queries, k)
    return np.bincount(query_index, weights=ranks <= k, minlength=number_of_queries) / counts


def average_precision_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> Values:
    """(Q,) AP@k in [0, 1], higher is better; its mean is mAP@k.

    1/|Rel| * sum of i / rank_i over the relevant items with rank_i <= k, i = 1, 2, ... in rank order.
    |Rel| counts all relevant items, not min(|Rel|, k), nor only those retrieved.

    Source: DCASE 2023 task 6B, postprocessing/xmodal_retrieval.py of the baseline (k = 10); DCASE 2025
        task 6 (k = 16).
    """
    counts = _relevant_counts(ranks, query_index, number_of_queries, k)
    order = np.lexsort((ranks, query_index))
    first_of_query = np.cumsum(counts) - counts
    i = np.empty(len(ranks))
    i[order] = np.arange(1, len(ranks) + 1) - np.repeat(first_of_query, counts)
    precision = np.where(ranks <= k, i / ranks, 0.0)
    return np.bincount(query_index, weights=precision, minlength=number_of_queries) / counts


def best_ranks(ranks: Indices, query_index: Indices, number_of_queries: int) -> Indices:
    """(Q,) int64 rank of each query's best relevant item, from 1; lower is better."""
    _relevant_counts(ranks, query_index, number_of_queries)
    best = np.full(number_of_queries, np.iinfo(np.int64).max)
    np.minimum.at(best, query_index, ranks)
    return best


def median_rank(ranks: Indices, query_index: Indices, number_of_queries: int) -> float:
    """Median over queries of `best_ranks`, >= 1; lower is better."""
    return float(np.median(best_ranks(ranks, query_index, number_of_queries)))


def hit_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> Values:
    """(Q,) 1.0 if any relevant item of the query has rank <= k, else 0.0; higher is better."""
    _relevant_counts(ranks, query_index, number_of_queries, k)
    return (best_ranks(ranks, query_index, number_of_queries) <= k).astype(np.float64)


def accuracy_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> float:
    """Share of queries with a relevant item among the first k, in [0, 1]; higher is better."""
    return float(hit_at_k(ranks, query_index, number_of_queries, k).mean())


def _relevant_counts(ranks: Indices, query_index: Indices, number_of_queries: int, k: int = 1) -> Indices:
    """(Q,) relevant items of each query; raises what the head of this file says."""
    if ranks.shape != query_index.shape or ranks.ndim != 1:
        raise ValueError(f"ranks are {ranks.shape}, query_index is {query_index.shape}; expected (R,) for both")
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    if len(ranks) and ranks.min() < 1:
        raise ValueError(f"a rank is {ranks.min()}; ranks start at 1")
    if number_of_queries < 1:
        raise ValueError("no queries: the metrics are undefined")
    counts = np.bincount(query_index, minlength=number_of_queries)
    if len(counts) > number_of_queries:
        raise ValueError(f"query_index holds {query_index.max()}; expected 0 to {number_of_queries - 1}")
    if counts.min() < 1:
        raise ValueError(f"query {counts.argmin()} has no relevant item")
    return counts
