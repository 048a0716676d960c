"""All metrics of a system that gives each recording one class, their intervals, and differences of two systems.

    accuracy            the share of recordings whose predicted class is right
    balanced_accuracy   the mean recall of the classes: a rare class counts as much as a frequent one
    macro_f1            the mean F1 of the classes
    nll                 the mean -log probability of the right class; lower is better
    ece                 expected calibration error; lower is better
    abstention_area     the mean accuracy over all shares of answered recordings, the most confident ones first

Intervals are of the choice of recordings: bootstrap resamples draw recordings, those of one channel together. A class
without recordings in a resample is left out of its means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.classification.abstention import abstention_area, weighted_areas
from utils.metric_utils.classification.calibration import BINS, bin_of, check, reliability
from utils.metric_utils.classification.counts import ClassCounts, confusion_matrix
from utils.metric_utils.intervals import Clusters, Interval, check_level, percentile_interval, resampled_counts

NLL = "nll"
ECE = "ece"
ABSTENTION_AREA = "abstention_area"
RESAMPLES = 2000


class Answers(NamedTuple):
    """The classes that a system predicts for N recordings."""

    targets: Indices  # (N,) right classes
    predicted: Indices  # (N,) classes of the highest probability; of equal ones the first
    confidence: Values  # (N,) the probability of `predicted`
    loss: Values  # (N,) -log probability of the right class
    classes: int  # K

    @classmethod
    def of(cls, log_probs: Values, targets: Indices) -> Answers:
        """Predict by (N, K) log-probabilities.

        Raises:
            ValueError: see `calibration.check`.
        """
        check(log_probs, targets)
        predicted = log_probs.argmax(axis=1)
        rows = np.arange(len(targets))
        confidence = np.minimum(np.exp(log_probs[rows, predicted]), 1.0)  # rounding may exceed 1
        return cls(targets, predicted, confidence, -log_probs[rows, targets], log_probs.shape[1])

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) whether the predicted class is right."""
        return self.predicted == self.targets

    @property
    def confusion(self) -> Indices:
        """(K, K) recordings by right class (rows) and predicted class (columns)."""
        return confusion_matrix(self.targets, self.predicted, self.classes)

    def confident_errors(self, number: int) -> Indices:
        """Return up to `number` recordings whose predicted class is wrong, those of the highest confidence first."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:number]

    def metrics(self) -> dict[str, float]:
        """Compute the metrics that the head of this file lists."""
        counted = {key: float(value) for key, value in ClassCounts.of(self.confusion).metrics().items()}
        return counted | {
            NLL: float(self.loss.mean()),
            ECE: reliability(self.confidence, self.right).error,
            ABSTENTION_AREA: abstention_area(self.confidence, self.right),
        }


class Difference(NamedTuple):
    """One metric of two systems on the same recordings."""

    a: float
    b: float
    difference: float  # b - a
    interval: Interval  # of the difference, by paired bootstrap


def metric_intervals(
    answers: Answers, clusters: Indices, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Compute percentile bootstrap confidence intervals of the metrics.

    Recordings that are drawn twice make confidence and accuracy of a bin differ more: the ECE is higher in resamples
    than in the recordings themselves. Its interval is shifted so that the mean of the resamples equals the measured
    value, and clipped to [0, 1]. (In simulations with 80 and 300 recordings of 10 classes, 93 to 95 % of the shifted
    95 % intervals hold the true value of a system that is too confident. That of a calibrated system, 0, is below all
    of them: compare with `calibration.error_if_calibrated`.)

    Where all recordings are right, or none is, so is every resample. The interval of the accuracy is then the exact one
    of a binomial distribution (Clopper and Pearson, 1934), with a trial for each cluster.

    Args:
        answers: of the system.
        clusters: (N,) integers; recordings of one channel have the same one, and are drawn together.
        resamples: number of bootstrap resamples.
        seed: of the resampling; the same one draws the same recordings for every system.
        level: confidence level, between 0 and 1.
    Raises:
        ValueError: fewer than two clusters, no resamples, or a level outside (0, 1).

    Source: see `utils.metric_utils.intervals.bootstrap_intervals`.
    """
    check_level(level)
    drawn = drawn_metrics(answers, clusters, resamples, seed)
    found = {key: percentile_interval(values, level) for key, values in drawn.items()}
    shift = answers.metrics()[ECE] - float(drawn[ECE].mean())
    low, high = found[ECE]
    found[ECE] = Interval(max(low + shift, 0.0), min(high + shift, 1.0))
    if answers.right.all() or not answers.right.any():
        least = ((1 - level) / 2) ** (1 / len(np.unique(clusters)))
        found["accuracy"] = Interval(least, 1.0) if answers.right.all() else Interval(0.0, 1 - least)
    return found


def metric_differences(
    a: Answers, b: Answers, clusters: Indices, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, Difference]:
    """Compute the difference b - a of every metric, with the interval of a paired bootstrap.

    Args:
        a: the first system.
        b: the second system, on the same recordings in the same order.
        clusters: (N,), as for `metric_intervals`, like the other arguments.
        resamples: number of resamples; each draws the same recordings for both systems.
        seed: of the resampling.
        level: confidence level.
    Raises:
        ValueError: the right classes differ, and as `metric_intervals`.
    """
    if not np.array_equal(a.targets, b.targets):
        raise ValueError("the right classes of a and b differ; expected the same recordings in the same order")
    check_level(level)
    drawn_a, drawn_b = (drawn_metrics(answers, clusters, resamples, seed) for answers in (a, b))
    found_a, found_b = a.metrics(), b.metrics()
    return {
        key: Difference(
            found_a[key],
            found_b[key],
            found_b[key] - found_a[key],
            percentile_interval(drawn_b[key] - drawn_a[key], level),
        )
        for key in found_a
    }


def drawn_metrics(answers: Answers, clusters: Indices, resamples: int, seed: int) -> dict[str, Values]:
    """Compute each metric in each bootstrap resample: (resamples,) float64, in blocks of bounded memory.

    Args:
        answers: of the system.
        clusters: (N,).
        resamples: number of resamples.
        seed: of the resampling.
    Raises:
        ValueError: fewer than two clusters, or no resamples.
    """
    groups = Clusters.of(clusters, {NLL: answers.loss})
    sums = _cluster_sums(answers, groups)
    drawn = resampled_counts(np.random.default_rng(seed), groups, resamples)
    blocks = [_block_metrics(answers, groups, sums, counts) for counts in drawn]
    return {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}


def _cluster_sums(answers: Answers, groups: Clusters) -> csr_array:
    """Sum over the recordings of each of n clusters what the metrics are made of: (n, 3 K + M + 1).

    Sparse, since a recording is of one class, one predicted class and one bin: a resample costs as much as there are
    recordings, whatever the number of classes.
    """
    from scipy.sparse import csr_array

    k, rows = answers.classes, np.arange(len(answers.targets))
    hits = rows[answers.right]
    parts = [  # of each kind of column: recordings, columns, values
        (hits, answers.targets[hits], np.ones(len(hits))),
        (rows, k + answers.predicted, np.ones(len(rows))),
        (rows, 2 * k + answers.targets, np.ones(len(rows))),
        (rows, 3 * k + bin_of(answers.confidence), answers.right - answers.confidence),
        (rows, np.full(len(rows), 3 * k + BINS), answers.loss),
    ]
    recordings, columns, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    shape = (len(groups.sizes), 3 * k + BINS + 1)
    return csr_array((values, (groups.label[recordings], columns)), shape=shape)


def _block_metrics(answers: Answers, groups: Clusters, sums: csr_array, counts: NDArray[np.int32]) -> dict[str, Values]:
    """Compute the metrics of the r resamples of a block.

    Args:
        answers: of the system.
        groups: its n clusters.
        sums: what the metrics are made of, for each cluster.
        counts: (r, n) how often each cluster is drawn.
    """
    totals = (sums.T @ counts.T.astype(np.float64)).T  # (r, 3 K + M + 1)
    k = answers.classes
    recordings = counts @ groups.sizes
    counted = ClassCounts(*np.split(totals[:, : 3 * k], 3, axis=1))
    weights = counts[:, groups.label].astype(np.int64)
    return counted.metrics() | {
        NLL: totals[:, -1] / recordings,
        ECE: np.abs(totals[:, 3 * k : -1]).sum(axis=1) / recordings,
        ABSTENTION_AREA: weighted_areas(answers.confidence, answers.right, weights),
    }
