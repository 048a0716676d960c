"""Confidence intervals of metrics, by jackknife and by bootstrap.

The five captions of a clip are not independent: a sound that is hard to recognise makes all five hard to match.
Resampling single captions would give intervals that are too narrow, so a clip is left out, or drawn, with all its
captions; `clusters` holds the clip of each query. The candidates are not resampled: the intervals are about the choice
of queries, not about the number of candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.retrieval import MEDIAN_RANK, summarise

_BLOCK_NUMBERS = 2**20  # numbers of the resamples in memory at a time: 8 MB for any number of resamples


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Clusters:
    """Q queries in n clusters.

    Attributes:
        label: (Q,) the cluster of each query, 0 to n - 1.
        sizes: (n,) number of queries of each cluster, at least 1.
    """

    label: Indices
    sizes: Indices

    @classmethod
    def of(cls, labels: NDArray[np.int64], values: Mapping[str, Values]) -> Clusters:
        """Number the clusters of (Q,) labels, any integers, and check the values of the queries.

        Raises:
            ValueError: labels or values that are not (Q,), a value that is not finite, or fewer than two clusters.
        """
        labels = np.asarray(labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"clusters are {labels.dtype} {labels.shape}; expected integers (Q,), one for each query")
        for key, value in values.items():
            if np.shape(value) != labels.shape:
                raise ValueError(f"{key} is {np.shape(value)}, clusters are {labels.shape}; expected (Q,) for both")
            if not np.isfinite(value).all():
                bad = int(np.flatnonzero(~np.isfinite(value))[0])
                raise ValueError(f"{key} of query {bad} is {value[bad]}; expected a finite number")
        found, label, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        if len(found) < 2:
            raise ValueError(f"{len(found)} cluster of queries; expected at least 2: there is nothing to resample")
        return cls(label.astype(np.int64), sizes)

    def sums(self, values: Mapping[str, Values]) -> Values:
        """Sum each of M kinds of values over the queries of each cluster: (n, M)."""
        columns = [np.bincount(self.label, weights=value, minlength=len(self.sizes)) for value in values.values()]
        return np.stack(columns, axis=1) if columns else np.empty((len(self.sizes), 0))


def jackknife_intervals(values: Mapping[str, Values], clusters: Indices, level: float = 0.95) -> dict[str, Interval]:
    """Compute metric -+ z * se, with the jackknife standard error: leave out one clip at a time, with its captions.

    se^2 = (n - 1) / n * sum over clips c of (metric without c - mean of these)^2, and z is the quantile of the normal
    distribution (1.96 for 95 %). For one caption a clip this is the textbook s / sqrt(n). Near 0 and 1, where the
    distribution of a share is skewed, an end may be outside [0, 1], unlike that of the bootstrap.

    Args:
        values: (Q,) values of each metric, from `per_query_values`. `median_rank` is ignored: the jackknife is
            inconsistent for a median.
        clusters: (Q,) integers, the clip of each query.
        level: confidence level, between 0 and 1.
    Returns:
        The interval of each metric that is a mean over queries.
    Raises:
        ValueError: values that are no (Q,) finite numbers, fewer than two clips, or a level outside (0, 1).

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11. The results of DCASE 2022 task
        6B give 95 % intervals by jackknife.
    """
    check_level(level)
    means = {key: value for key, value in values.items() if key != MEDIAN_RANK}
    groups = Clusters.of(clusters, means)
    sums, n = groups.sums(means), len(groups.sizes)  # (n, M)
    left = (sums.sum(axis=0) - sums) / (len(groups.label) - groups.sizes)[:, None]
    reach = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt((n - 1) * left.var(axis=0))
    middle = summarise(means)
    return {key: Interval(middle[key] - r, middle[key] + r) for key, r in zip(means, reach.tolist(), strict=True)}


def bootstrap_intervals(
    values: Mapping[str, Values], clusters: Indices, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Compute percentile bootstrap intervals: the middle 95 % of each metric over resamples of the clips.

    A bootstrap resample draws as many clips as there are, with replacement, each with all its captions.

    Args:
        values: (Q,) values of each metric, from `per_query_values`; `median_rank` too.
        clusters: (Q,) integers, the clip of each query.
        resamples: number of resamples.
        seed: of the resampling.
        level: confidence level, between 0 and 1.
    Returns:
        The interval of each metric.
    Raises:
        ValueError: values that are no (Q,) finite numbers, fewer than two clips, no resamples, or a level outside
            (0, 1).

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; whole clusters as in Field and
        Welsh, "Bootstrapping clustered data", 2007.
    """
    check_level(level)
    drawn = bootstrap_metrics(values, clusters, resamples, seed)
    return {key: percentile_interval(values_of_key, level) for key, values_of_key in drawn.items()}


def bootstrap_metrics(
    values: Mapping[str, Values], clusters: Indices, resamples: int = 2000, seed: int = 0
) -> dict[str, Values]:
    """Compute each metric in each bootstrap resample; the same clusters, resamples and seed draw the same clips.

    Args:
        values: as for `bootstrap_intervals`, like the other arguments.
        clusters: (Q,).
        resamples: number of resamples.
        seed: of the resampling.
    Returns:
        (resamples,) float64 of each metric: a mean is the sum over the drawn clips divided by the number of their
        captions, a median is that of all drawn captions.
    """
    groups = Clusters.of(clusters, values)
    means = {key: value for key, value in values.items() if key != MEDIAN_RANK}
    sums = groups.sums(means)
    ranks = values.get(MEDIAN_RANK)
    order = np.empty(0, np.int64) if ranks is None else np.argsort(ranks, kind="stable")
    found_means, found_medians = [], []
    for weights in resampled_counts(np.random.default_rng(seed), groups, resamples):
        found_means.append(weights @ sums / (weights @ groups.sizes)[:, None])
        if ranks is not None:
            reached = np.cumsum(weights.take(groups.label[order], axis=1), axis=1, dtype=np.int32)  # (r, Q)
            found_medians.append(weighted_medians(ranks[order], reached))
    drawn = dict(zip(means, np.concatenate(found_means).T, strict=True))
    if ranks is not None:
        drawn[MEDIAN_RANK] = np.concatenate(found_medians)
    return {key: drawn[key] for key in values}


def percentile_interval(drawn: Values, level: float) -> Interval:
    """Return the interval that holds the middle `level` of the values of all resamples."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(low, high)


def weighted_medians(ascending: Values, reached: NDArray[np.int32]) -> Values:
    """Compute r medians of the same numbers, each with its own repetitions, without repeating the numbers.

    Equal to `np.median(np.repeat(ascending, counts))` for each row of counts; `np.quantile` takes weights, but only
    with a method that gives the lower of two middle numbers, not their mean.

    Args:
        ascending: (N,) sorted numbers.
        reached: (r, N) cumulative counts; the last of each row is the total, at least 1.
    Returns:
        (r,) medians.
    """
    total = reached[:, -1:]
    lower = np.count_nonzero(reached <= (total - 1) // 2, axis=1)
    upper = lower.copy()
    further = np.flatnonzero(np.take_along_axis(reached, lower[:, None], axis=1) <= total // 2)
    upper[further] = np.count_nonzero(reached[further] <= total[further] // 2, axis=1)
    return (ascending[lower] + ascending[upper]) / 2


def block_sizes(resamples: int, width: int) -> Iterator[int]:
    """Split resamples of `width` numbers each into blocks that fit in memory; yield the number of each block.

    Raises:
        ValueError: no resamples.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected at least 1")
    rows = max(1, _BLOCK_NUMBERS // width)
    for start in range(0, resamples, rows):
        yield min(rows, resamples - start)


def resampled_counts(rng: np.random.Generator, groups: Clusters, resamples: int) -> Iterator[NDArray[np.int32]]:
    """Yield (r, n) counts: how often each of n clusters is drawn in each of r resamples."""
    n = len(groups.sizes)
    for rows in block_sizes(resamples, width=len(groups.label)):
        # One bincount for all rows: each row draws from n numbers of its own.
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).astype(np.int32).reshape(rows, n)


def check_level(level: float) -> None:
    """Check a confidence level.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected between 0 and 1, such as 0.95")
