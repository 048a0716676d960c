"""Checks that every metric makes of its ranks: an undefined metric is an error, not a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


def relevant_counts(ranks: Indices, query_index: Indices, number_of_queries: int, k: int = 1) -> Indices:
    """Check ranks, and count the relevant items of each query.

    Args:
        ranks: (R,) rank of each relevant item, from 1.
        query_index: (R,) its query.
        number_of_queries: Q.
        k: the cut-off of the metric, checked too.
    Returns:
        (Q,) int64, at least 1.
    Raises:
        ValueError: arrays that do not match, a rank or k below 1, no queries, or a query without relevant item.
    """
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


def place_in_query(order: Indices, query_index: Indices, counts: Indices) -> Indices:
    """Number the pairs of each query 1, 2, ..., best first.

    Args:
        order: (R,) the permutation that sorts the pairs by query and, within a query, best first.
        query_index: (R,) the query of each pair.
        counts: (Q,) number of pairs of each query.
    Returns:
        (R,) int64.
    """
    before = np.cumsum(counts) - counts  # number of pairs of all earlier queries
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(1, len(order) + 1) - before[query_index[order]]
    return place
