"""From sums over clips to a metric, its confidence interval, and the difference of two systems.

The mean of a value of each clip and corpus BLEU are both functions of sums over clips. A bootstrap resample draws clip
i w_i times, so that its sums are w @ values: all resamples of a metric are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Values
from utils.metric_utils.intervals import Clusters, Interval, check_level, percentile_interval, resampled_counts

RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Statistics:
    """What each of N clips adds to the S sums of one metric.

    Attributes:
        values: (N, S) float64.
        combine: maps sums over clips (..., S) to values of the metric (...,).
    """

    values: Values
    combine: Callable[[Values], Values]

    @property
    def value(self) -> float:
        """The metric of all clips.

        Raises:
            ValueError: no clips.
        """
        if not len(self.values):
            raise ValueError("no clips: the metrics are undefined")
        return float(self.combine(self.values.sum(axis=0)))


class Difference(NamedTuple):
    """The difference of one metric of two systems, with its confidence interval."""

    value: float
    low: float
    high: float


def mean_of(values: Values) -> Statistics:
    """Return the statistics of a metric that is the mean of (N,) values, one of each clip."""
    values = np.asarray(values, np.float64)
    return Statistics(np.stack([values, np.ones_like(values)], axis=1), _ratio)


def _ratio(sums: Values) -> Values:
    return np.asarray(sums[..., 0] / sums[..., 1])


def metric_intervals(
    statistics: Mapping[str, Statistics], resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Compute percentile bootstrap intervals by clip: the middle 95 % of each metric over resamples of the clips.

    What a metric takes from the whole split, as the document frequencies of CIDEr-D, is the same in all resamples.

    Args:
        statistics: of each metric, all of the same N clips.
        resamples: number of resamples.
        seed: of the resampling.
        level: confidence level, between 0 and 1.
    Raises:
        ValueError: metrics of different numbers of clips, fewer than two clips, values that are not finite, no
            resamples, or a level outside (0, 1).

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    check_level(level)
    drawn: dict[str, list[Values]] = {key: [] for key in statistics}
    for weights in _drawn_weights(statistics, resamples, seed):
        for key, metric in statistics.items():
            drawn[key].append(metric.combine(weights @ metric.values))
    return {key: percentile_interval(np.concatenate(blocks), level) for key, blocks in drawn.items()}


def differences(
    a: Mapping[str, Statistics],
    b: Mapping[str, Statistics],
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Compute a - b for each metric, with its paired bootstrap interval: each resample draws the same clips of both.

    Args:
        a: statistics of each metric of the first system.
        b: the same metrics of the second system, on the same clips in the same order.
        resamples: as of `metric_intervals`, like the other arguments.
        seed: see there.
        level: see there.
    Raises:
        ValueError: a and b differ in their metrics, and as of `metric_intervals`.
    """
    if set(a) != set(b):
        raise ValueError(f"the metrics differ: {', '.join(sorted(set(a) ^ set(b)))}; expected the same of both systems")
    paired = {key: _difference_of(a[key], b[key]) for key in a}
    intervals = metric_intervals(paired, resamples, seed, level)
    return {key: Difference(paired[key].value, *intervals[key]) for key in a}


def _difference_of(a: Statistics, b: Statistics) -> Statistics:
    """Put the sums of both systems side by side: a difference is a metric of its own."""
    if len(a.values) != len(b.values):
        raise ValueError(f"the systems have {len(a.values)} and {len(b.values)} clips; expected the same clips")
    width = a.values.shape[1]

    def combine(sums: Values) -> Values:
        return a.combine(sums[..., :width]) - b.combine(sums[..., width:])

    return Statistics(np.concatenate([a.values, b.values], axis=1), combine)


def use_of_input(
    true: Mapping[str, Statistics],
    shuffled: Mapping[str, Statistics],
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Difference]:
    """Compute how much of each metric depends on the input: metric(true inputs) - metric(shuffled inputs).

    A system that says the same of every input has 0, however high its metrics are. `shuffled` are the metrics of the
    captions of other clips' inputs against a clip's own references: see `baselines.shuffled_inputs`.

    Args:
        true: statistics of each metric with each clip's own input.
        shuffled: the same metrics, with another clip's input.
        resamples: as of `metric_intervals`, like the other arguments.
        seed: see there.
        level: see there.
    Returns:
        The difference of each metric with its interval; one that lies above 0 shows that the input is used.
    Raises:
        ValueError: as of `differences`.
    """
    return differences(true, shuffled, resamples, seed, level)


def _drawn_weights(statistics: Mapping[str, Statistics], resamples: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """Yield (r, N) how often each clip is drawn; the same for all metrics of one N, seed and number of resamples."""
    clips = {key: len(metric.values) for key, metric in statistics.items()}
    if len(set(clips.values())) > 1:
        raise ValueError(f"metrics of different clips: {clips}; expected the same number of clips for all")
    if not clips:
        return
    number = next(iter(clips.values()))
    columns = {f"{key}, column {i}": c for key, m in statistics.items() for i, c in enumerate(m.values.T)}
    groups = Clusters.of(np.arange(number), columns)
    yield from resampled_counts(np.random.default_rng(seed), groups, resamples)
