"""Is one system better than another on the same queries, or were the clips kind to it?

Both systems answered the same queries, so that what differs is looked at query by query, and a clip keeps all its
captions together (see `intervals`).
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
    blocks_of,
    bootstrap_metrics,
    percentile_interval,
    weighted_medians,
)
from utils.metric_utils.retrieval import MEDIAN_RANK, summarise


class Comparison(NamedTuple):
    """One metric of two systems on the same queries.

    Attributes:
        a: of the first system.
        b: of the second one.
        difference: b - a; above 0, b has the greater number (for `median_rank` that is the worse one).
        interval: of the difference, by paired bootstrap.
        p_value: two-sided, how often a difference as large arises where the systems are exchangeable.
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
    """Difference of every metric with an interval and a p-value.

    The interval is the percentile bootstrap of b - a, with the same clips drawn for both. The p-value is that of the
    permutation test: in each resample the systems change places for each clip, with all its captions, or do not, as
    a coin falls; for a mean that flips the sign of the clip's difference. p = (1 + resamples whose difference is as
    large in size as the one found) / (1 + resamples), so that it is never 0 and is 1 for identical systems.

    Args:
        a: (Q,) each, from `per_query_values` of the first system.
        b: of the second one, the same metrics of the same queries.
        clusters: (Q,) integers, the clip of each query.
        resamples: of the bootstrap, and of the permutation.
        seed: of both.
        level: of confidence, between 0 and 1.
    Raises:
        ValueError: other metrics in b than in a, and what `bootstrap_intervals` raises.

    Source: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
        evaluation", CIKM 2007; Phipson and Smyth, "Permutation p-values should never be zero", 2010.
    """
    if set(a) != set(b):
        raise ValueError(f"the metrics differ: {', '.join(sorted(set(a) ^ set(b)))}; expected the same of both systems")
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected between 0 and 1, such as 0.95")
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
    """Two-sided p-value of each metric; what is drawn does not depend on how many resamples are held at a time."""
    groups = Clusters.of(clusters, {**a, **b})
    differences = {key: b[key] - a[key] for key in a if key != MEDIAN_RANK}
    sums = groups.sums(differences)  # (n, M)
    # Sums of the same numbers in another order differ in their last bits: equal must count as equal.
    threshold = np.abs(sums.sum(axis=0)) - 1e-12 * np.abs(sums).sum(axis=0)
    rng = np.random.default_rng([seed, 1])  # other draws than the bootstrap's
    as_large = np.zeros(len(differences), np.int64)
    medians_as_large = 0
    for rows in blocks_of(resamples, width=2 * len(groups.label)):
        swapped = rng.random((rows, len(groups.sizes))) < 0.5
        as_large += np.count_nonzero(np.abs((1.0 - 2.0 * swapped) @ sums) >= threshold, axis=0)
        if MEDIAN_RANK in a:
            medians_as_large += _medians_as_large(a[MEDIAN_RANK], b[MEDIAN_RANK], swapped[:, groups.label])
    counts = dict(zip(differences, as_large.tolist(), strict=True)) | {MEDIAN_RANK: medians_as_large}
    return {key: (1 + counts[key]) / (1 + resamples) for key in a}


def _medians_as_large(a: Values, b: Values, swapped: NDArray[np.bool_]) -> int:
    """In how many of r permutations the medians lie at least as far apart as those of a and b.

    Args:
        a: (Q,) best ranks.
        b: (Q,).
        swapped: (r, Q) where a and b change places.
    """
    both = np.concatenate([a, b])
    order = np.argsort(both, kind="stable")
    is_b, query = np.divmod(order, len(a))
    stands_first = swapped.take(query, axis=1) == is_b.astype(bool)  # (r, 2Q) in a's place
    first = np.cumsum(stands_first, axis=1, dtype=np.int32)
    second = np.arange(1, len(both) + 1, dtype=np.int32) - first
    apart = np.abs(weighted_medians(both[order], second) - weighted_medians(both[order], first))
    return int(np.count_nonzero(apart >= abs(np.median(b) - np.median(a))))
