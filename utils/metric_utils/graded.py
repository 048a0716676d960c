"""nDCG@k: a metric for graded relevance.

The gain of an item is linear, divided by log2(rank + 1), and the sum is divided by that of the best order. Some
implementations use 2^gain - 1 instead: the two agree only for gains of 0 and 1.
"""

from __future__ import annotations

import numpy as np

from utils.metric_utils.checks import Indices, Values, place_in_query, relevant_counts


def ndcg_at_k(
    ranks: Indices, query_index: Indices, number_of_queries: int, k: int, gains: Values | None = None
) -> Values:
    """Compute nDCG@k of each query.

    Sum over the relevant items with rank <= k of gain / log2(rank + 1), divided by the same sum for the order of
    falling gains. The best order takes all relevant items of the query, not only those retrieved.

    Args:
        ranks: (R,) rank of each relevant item, from 1.
        query_index: (R,) its query.
        number_of_queries: Q.
        k: the cut-off.
        gains: (R,) how relevant each one is, above 0, on any scale; None: all equal.
    Returns:
        (Q,) float64 in [0, 1], higher is better; 1 is the best order of all relevant items, cut at k.
    Raises:
        ValueError: as for all metrics of `retrieval`, or gains that are not (R,), finite and above 0.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, with the discount
        log2(rank + 1), as in scikit-learn's `ndcg_score`.
    """
    relevant_counts(ranks, query_index, number_of_queries, k)
    gains = _checked_gains(gains, ranks.shape)
    discounted = np.where(ranks <= k, gains / np.log2(ranks + 1.0), 0.0)
    found = np.bincount(query_index, weights=discounted, minlength=number_of_queries)
    best = _dcg_of_best_order(gains, query_index, number_of_queries, k, ranks)
    return np.minimum(found / best, 1.0)  # rounding must not lift it above 1


def chance_ndcg(
    query_index: Indices, number_of_queries: int, k: int, number_of_candidates: int, gains: Values | None = None
) -> Values:
    """Compute the expected nDCG@k of each query, if every order of the N candidates is equally likely.

    An item has each rank with probability 1/N, so that the expected sum is
    (sum of the gains) / N * (sum over r = 1..min(k, N) of 1 / log2(r + 1)).

    Args:
        query_index: (R,) the query of each relevant item; every query at least once.
        number_of_queries: Q.
        k: the cut-off.
        number_of_candidates: N.
        gains: (R,), as for `ndcg_at_k`.
    Returns:
        (Q,) float64 in [0, 1].
    Raises:
        ValueError: gains that are not (R,), finite and above 0.
    """
    gains = _checked_gains(gains, query_index.shape)
    discounts = 1 / np.log2(np.arange(1, min(k, number_of_candidates) + 1) + 1.0)
    total = np.bincount(query_index, weights=gains, minlength=number_of_queries)
    best = _dcg_of_best_order(gains, query_index, number_of_queries, k, np.zeros_like(query_index))
    return total * discounts.sum() / number_of_candidates / best


def _dcg_of_best_order(gains: Values, query_index: Indices, number_of_queries: int, k: int, ranks: Indices) -> Values:
    """Return the (Q,) sum of gain / log2(place + 1) in the order of falling gains; equal gains in the order of ranks.

    Without the ranks as second key, a perfect ranking could sum its discounts in another order than this function
    does, and miss 1 by a rounding error.
    """
    order = np.lexsort((ranks, -gains, query_index))
    counts = np.bincount(query_index, minlength=number_of_queries)
    place = place_in_query(order, query_index, counts)
    discounted = np.where(place <= k, gains / np.log2(place + 1.0), 0.0)
    return np.bincount(query_index, weights=discounted, minlength=number_of_queries).astype(np.float64)


def _checked_gains(gains: Values | None, shape: tuple[int, ...]) -> Values:
    if gains is None:
        return np.ones(shape)
    gains = np.asarray(gains, np.float64)
    if gains.shape != shape:
        raise ValueError(f"gains are {gains.shape}, the relevant pairs are {shape}; expected one gain a pair")
    bad = np.flatnonzero(~(np.isfinite(gains) & (gains > 0)))
    if len(bad):  # an item with gain 0 would still count as relevant in R@k and AP@k
        raise ValueError(f"the gain of pair {bad[0]} is {gains[bad[0]]:g}; expected above 0: leave out what has none")
    return gains
