"""Compare two systems on the same queries: is the difference larger than chance?

The tests are paired: they use the difference of the two systems at each query. The captions of a clip are resampled
together (see `intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.intervals import (
    Clusters,
    Interval,
    block_sizes,
    bootstrap_metrics,
    check_level,
    percentile_interval,
    weighted_medians,
)
from utils.metric_utils.retrieval import MEDIAN_RANK, summarise


class Comparison(NamedTuple):
    """One metric of two systems on the same queries.

    Attributes:
        a: value of the first system.
        b: value of the second system.
        difference: b - a; for `median_rank`, where lower is better, above 0 means that b is worse.
        interval: confidence interval of the difference, by paired bootstrap.
        p_value: two-sided p-value of the permutation test, in (0, 1].
    """

    a: float
    b: float
    difference: float
    interval: Interval
    p_value: float


def compare_paired(
    a: Mapping[str, Values],
    b: Mapping[str, Values],
    clusters: Indices,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Comparison]:
    """Compute the difference of every metric, its confidence interval and its p-value.

    The interval is the percentile bootstrap of b - a, with the same clips drawn for both. The p-value is that of a
    permutation test: each permutation swaps the two systems at a random half of the clips, with all their captions;
    for a mean this flips the sign of a clip's difference. p = (1 + number of permutations whose absolute difference is
    at least the measured one) / (1 + number of permutations), so that it is never 0, and 1 for identical systems.

    Args:
        a: (Q,) values of each metric, from `per_query_values` of the first system.
        b: the same metrics of the second system on the same queries.
        clusters: (Q,) integers, the clip of each query.
        resamples: number of bootstrap resamples, and of permutations.
        seed: of both.
        level: confidence level, between 0 and 1.
    Raises:
        ValueError: a and b differ in their metrics, and as `bootstrap_intervals`.

    Source: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
        evaluation", CIKM 2007; Phipson and Smyth, "Permutation p-values should never be zero", 2010.
    """
    if set(a) != set(b):
        raise ValueError(f"the metrics differ: {', '.join(sorted(set(a) ^ set(b)))}; expected the same of both systems")
    check_level(level)
    b = {key: b[key] for key in a}
    drawn_a, drawn_b = (bootstrap_metrics(values, clusters, resamples, seed) for values in (a, b))
    p_values = _permutation_p_values(a, b, clusters, resamples, seed)
    found_a, found_b = summarise(a), summarise(b)
    return {
        key: Comparison(
            a=found_a[key],
            b=found_b[key],
            difference=found_b[key] - found_a[key],
            interval=percentile_interval(drawn_b[key] - drawn_a[key], level),
            p_value=p_values[key],
        )
        for key in a
    }


def _permutation_p_values(
    a: Mapping[str, Values], b: Mapping[str, Values], clusters: Indices, resamples: int, seed: int
) -> dict[str, float]:
    """Return the two-sided p-value of each metric; the draws do not depend on the block size."""
    groups = Clusters.of(clusters, {**a, **b})
    differences = {key: b[key] - a[key] for key in a if key != MEDIAN_RANK}
    sums = groups.sums(differences)  # (n, M)
    # Sums of the same numbers in another order differ in their last bits: without this tolerance, permutations with
    # exactly the measured difference would be missed.
    threshold = np.abs(sums.sum(axis=0)) - 1e-12 * np.abs(sums).sum(axis=0)
    rng = np.random.default_rng([seed, 1])  # independent of the bootstrap's draws
    as_large = np.zeros(len(differences), np.int64)
    medians_as_large = 0
    for rows in block_sizes(resamples, width=2 * len(groups.label)):
        swapped = rng.random((rows, len(groups.sizes))) < 0.5
        as_large += np.count_nonzero(np.abs((1.0 - 2.0 * swapped) @ sums) >= threshold, axis=0)
        if MEDIAN_RANK in a:
            medians_as_large += _medians_as_large(a[MEDIAN_RANK], b[MEDIAN_RANK], swapped[:, groups.label])
    counts = dict(zip(differences, as_large.tolist(), strict=True)) | {MEDIAN_RANK: medians_as_large}
    return {key: (1 + counts[key]) / (1 + resamples) for key in a}


def _medians_as_large(a: Values, b: Values, swapped: NDArray[np.bool_]) -> int:
    """Count the permutations whose medians differ at least as much as those of a and b.

    A median is no sum over clips, so that flipping signs does not give it. All 2Q ranks are sorted once; a permutation
    then only decides which of them belong to the first system.

    Args:
        a: (Q,) best ranks.
        b: (Q,).
        swapped: (r, Q) True where a permutation swaps a and b.
    """
    both = np.concatenate([a, b])
    order = np.argsort(both, kind="stable")
    is_b, query = np.divmod(order, len(a))
    is_first = swapped.take(query, axis=1) == is_b.astype(bool)  # (r, 2Q) True: a rank of the first system
    first = np.cumsum(is_first, axis=1, dtype=np.int32)
    second = np.arange(1, len(both) + 1, dtype=np.int32) - first
    apart = np.abs(weighted_medians(both[order], second) - weighted_medians(both[order], first))
    return int(np.count_nonzero(apart >= abs(np.median(b) - np.median(a))))
