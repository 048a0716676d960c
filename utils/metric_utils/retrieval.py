"""Ranks of the relevant items -> R@k, AP@k, nDCG@k, median rank, accuracy@k.

Every function takes the R ranks, the query of each, and `number_of_queries` Q, and raises ValueError where the
metric is undefined: arrays that do not match, a rank below 1, or a query without relevant item. Those that return
(Q,) return one value a query, whose mean is the metric: confidence intervals by resampling need these values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from utils.metric_utils.checks import Indices, Values, place_in_query, relevant_counts
from utils.metric_utils.graded import ndcg_at_k

MEDIAN_RANK = "median_rank"  # the only metric that is not a mean over queries


@dataclass(frozen=True)
class Cutoffs:
    """The cut-offs k of each metric.

    Attributes:
        recall: of `R@k`, the share of all relevant items that are in the top k.
        average_precision: of `mAP@k`.
        hit: of `hit@k`, whether any relevant item is in the top k.
        ndcg: of `nDCG@k`, which weights each relevant item by its gain.
    """

    recall: tuple[int, ...] = (1, 5, 10)
    average_precision: tuple[int, ...] = (10, 16)
    hit: tuple[int, ...] = ()
    ndcg: tuple[int, ...] = ()


TEXT_TO_AUDIO = Cutoffs()
# With five captions a clip, R@1 cannot exceed 0.2 (DCASE's convention); hit@k is the best of five
# (LAION-CLAP, WavCaps). They are not comparable, hence the two names.
AUDIO_TO_TEXT = Cutoffs(hit=(1, 5, 10))


def retrieval_metrics(
    ranks: Indices,
    query_index: Indices,
    number_of_queries: int,
    cutoffs: Cutoffs = TEXT_TO_AUDIO,
    gains: Values | None = None,
) -> dict[str, float]:
    """Compute all metrics of one direction.

    Args:
        ranks: (R,) rank of each relevant item, from 1.
        query_index: (R,) its query.
        number_of_queries: Q.
        cutoffs: the values of k; `AUDIO_TO_TEXT` adds hit@k.
        gains: (R,) how relevant each one is, above 0; only nDCG@k uses them. None: all equal.
    Returns:
        `R@k`, `mAP@k`, `nDCG@k`, `hit@k` in [0, 1], higher is better, and `median_rank` >= 1, lower is better.
    """
    return summarise(per_query_values(ranks, query_index, number_of_queries, cutoffs, gains))


def per_query_values(
    ranks: Indices,
    query_index: Indices,
    number_of_queries: int,
    cutoffs: Cutoffs = TEXT_TO_AUDIO,
    gains: Values | None = None,
) -> dict[str, Values]:
    """Compute the value of each metric at each query, for confidence intervals, comparisons and lists of hard queries.

    Args:
        ranks: as for `retrieval_metrics`, like the other arguments.
        query_index: (R,).
        number_of_queries: Q.
        cutoffs: the values of k.
        gains: (R,) or None.
    Returns:
        (Q,) float64 under each key of `retrieval_metrics`: AP@k under `mAP@k`, the best rank under `median_rank`.
    """
    given = ranks, query_index, number_of_queries
    return {
        **{f"R@{k}": recall_at_k(*given, k) for k in cutoffs.recall},
        **{f"mAP@{k}": average_precision_at_k(*given, k) for k in cutoffs.average_precision},
        **{f"nDCG@{k}": ndcg_at_k(*given, k, gains) for k in cutoffs.ndcg},
        MEDIAN_RANK: best_ranks(*given).astype(np.float64),
        **{f"hit@{k}": hit_at_k(*given, k) for k in cutoffs.hit},
    }


def summarise(values: Mapping[str, Values]) -> dict[str, float]:
    """Reduce `per_query_values` to the metrics: the mean over queries, for `median_rank` the median."""
    return {key: float(np.median(v) if key == MEDIAN_RANK else v.mean()) for key, v in values.items()}


def recall_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> Values:
    """Compute R@k of each query: the share of its relevant items with rank <= k.

    With one relevant item it is 1 or 0; with m items it cannot exceed k / m.

    Returns:
        (Q,) float64 in [0, 1]; higher is better.
    """
    counts = relevant_counts(ranks, query_index, number_of_queries, k)
    return np.bincount(query_index, weights=ranks <= k, minlength=number_of_queries) / counts


def average_precision_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> Values:
    """Compute AP@k of each query; its mean is mAP@k.

    1/|Rel| * sum of i / rank_i over the relevant items with rank_i <= k, i = 1, 2, ... in rank order.
    |Rel| counts all relevant items, not min(|Rel|, k), nor only those retrieved.

    Returns:
        (Q,) float64 in [0, 1]; higher is better.

    Source: DCASE 2023 task 6B, postprocessing/xmodal_retrieval.py of the baseline (k = 10); DCASE 2025
        task 6 (k = 16).
    """
    counts = relevant_counts(ranks, query_index, number_of_queries, k)
    i = place_in_query(np.lexsort((ranks, query_index)), query_index, counts)
    precision = np.where(ranks <= k, i / ranks, 0.0)
    return np.bincount(query_index, weights=precision, minlength=number_of_queries) / counts


def best_ranks(ranks: Indices, query_index: Indices, number_of_queries: int) -> Indices:
    """Return the (Q,) int64 rank, from 1, of each query's best relevant item; lower is better."""
    relevant_counts(ranks, query_index, number_of_queries)
    best = np.full(number_of_queries, np.iinfo(np.int64).max)
    np.minimum.at(best, query_index, ranks)
    return best


def hit_at_k(ranks: Indices, query_index: Indices, number_of_queries: int, k: int) -> Values:
    """Compute hit@k of each query: (Q,) 1.0 if any of its relevant items has rank <= k, else 0.0; higher is better."""
    relevant_counts(ranks, query_index, number_of_queries, k)
    return (best_ranks(ranks, query_index, number_of_queries) <= k).astype(np.float64)
