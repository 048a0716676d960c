"""Expected metrics of a random order of the candidates, in closed form: the baseline of every result."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import comb

import numpy as np

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.graded import chance_ndcg
from utils.metric_utils.retrieval import TEXT_TO_AUDIO, Cutoffs

# Queries are alike when they have equally many relevant items: (relevant items m, queries with m).
_Groups = list[tuple[int, int]]


def chance_metrics(
    relevant_counts: Indices,
    number_of_candidates: int,
    cutoffs: Cutoffs = TEXT_TO_AUDIO,
    gains: Values | None = None,
    query_index: Indices | None = None,
) -> dict[str, float]:
    """Compute the expected metrics if every order of the candidates is equally likely.

    With m of N candidates relevant:

    - R@k = min(k, N) / N, for any m;
    - AP@k = 1/N * sum over r = 1..min(k, N) of (1 + (m - 1)(r - 1) / (N - 1)) / r: position r holds a
      relevant item with probability m/N, and then (m - 1)(r - 1) / (N - 1) more are expected above it;
    - hit@k = 1 - C(N - m, k) / C(N, k);
    - nDCG@k: see `graded.chance_ndcg`.

    Args:
        relevant_counts: (Q,) number m of relevant items of each query, in [1, N].
        number_of_candidates: N.
        cutoffs: as for `retrieval_metrics`.
        gains: (R,) how relevant each item is, above 0; only nDCG@k uses them. None: all equal.
        query_index: (R,) the query of each gain.
    Returns:
        The keys of `retrieval_metrics`. `median_rank` is the median of the best rank of a randomly drawn
        query; with one relevant item it is (N + 1) / 2.
    Raises:
        ValueError: no query, a number of relevant items outside [1, N], or gains that do not match them.
    """
    groups = _groups(relevant_counts, number_of_candidates)
    n = number_of_candidates
    pairs = _query_of_each_pair(relevant_counts, gains, query_index)
    return {
        **{f"R@{k}": min(k, n) / n for k in cutoffs.recall},
        **{f"mAP@{k}": _mean(_average_precision, groups, n, k) for k in cutoffs.average_precision},
        **{f"nDCG@{k}": float(chance_ndcg(pairs, len(relevant_counts), k, n, gains).mean()) for k in cutoffs.ndcg},
        "median_rank": _median_best_rank(groups, n),
        **{f"hit@{k}": _mean(_hit, groups, n, k) for k in cutoffs.hit},
    }


def _query_of_each_pair(relevant_counts: Indices, gains: Values | None, query_index: Indices | None) -> Indices:
    """Return the (R,) query of each gain, or of each relevant item if there are no gains."""
    if gains is None:
        return np.repeat(np.arange(len(relevant_counts)), relevant_counts)
    if query_index is None or not np.array_equal(np.bincount(query_index), relevant_counts):
        raise ValueError("query_index does not have relevant_counts entries for each query, which gains need")
    return query_index


def _groups(relevant_counts: Indices, number_of_candidates: int) -> _Groups:
    # The sums below cost as much as there are distinct m, not as there are queries.
    relevant_counts = np.asarray(relevant_counts)
    if not len(relevant_counts):
        raise ValueError("no queries: chance is undefined")
    bad = np.flatnonzero((relevant_counts < 1) | (relevant_counts > number_of_candidates))
    if len(bad):
        found = f"query {bad[0]} has {relevant_counts[bad[0]]} relevant items"
        raise ValueError(f"{found}; expected 1 to {number_of_candidates}")
    m, queries = np.unique(relevant_counts, return_counts=True)
    return list(zip(m.tolist(), queries.tolist(), strict=True))


def _mean(value: Callable[[int, int, int], float], groups: _Groups, n: int, k: int) -> float:
    """Return the mean over queries of a function of m, n and k."""
    return sum(queries * value(m, n, k) for m, queries in groups) / sum(queries for _, queries in groups)


def _average_precision(m: int, n: int, k: int) -> float:
    rank = np.arange(1, min(k, n) + 1)
    above = (m - 1) * (rank - 1) / max(n - 1, 1)  # a single candidate has none above it
    return float(((1 + above) / rank).sum() / n)


def _hit(m: int, n: int, k: int) -> float:
    return float(1 - _miss(m, n, k))


def _miss(m: int, n: int, k: int) -> Fraction:
    """Return the exact probability that none of m relevant items is among the first k of n.

    C(n - k, m) / C(n, m) equals C(n - m, k) / C(n, k), but its numbers stay small for a large k. A fraction, since
    `_median_best_rank` compares it with exactly one half.
    """
    return Fraction(comb(max(n - k, 0), m), comb(n, m))


def _median_best_rank(groups: _Groups, n: int) -> float:
    """Return the mean of the two ranks k at which P(best rank <= k) reaches one half and exceeds it."""
    total = sum(queries for _, queries in groups)

    def missed(k: int) -> Fraction:
        return sum((queries * _miss(m, n, k) for m, queries in groups), Fraction(0)) / total

    half = Fraction(1, 2)
    lower = _first(n, lambda k: missed(k) <= half)
    upper = _first(n, lambda k: missed(k) < half)
    return (lower + upper) / 2


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """Bisect for the smallest k in 1..n at which a monotone condition holds; it must hold at n."""
    low, high = 1, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
