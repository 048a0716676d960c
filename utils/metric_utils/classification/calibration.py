"""Do probabilities mean what they say: reliability table, expected calibration error, and a temperature to repair them.

Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.classification.windows import log_probabilities

BINS = 15
# Beyond these a distribution is one class, or uniform, to the digits that anyone reads.
COLDEST, HOTTEST = 0.01, 100.0


class Reliability(NamedTuple):
    """Recordings in M bins of equal width by their confidence, the probability of the predicted class."""

    low: Values  # (M,) the bin's limits: above `low`, up to `high`
    high: Values  # (M,)
    recordings: Indices  # (M,)
    confidence: Values  # (M,) the mean; NaN in an empty bin
    accuracy: Values  # (M,) the share whose predicted class is right; NaN in an empty bin

    @property
    def error(self) -> float:
        """The expected calibration error: mean distance of confidence and accuracy, in [0, 1], lower is better."""
        filled = self.recordings > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float(np.average(gaps, weights=self.recordings[filled]))


def bin_of(confidence: Values, bins: int = BINS) -> Indices:
    """Return the (N,) bin, 0 to M - 1, of each confidence in [0, 1]; a limit belongs to the lower bin."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left").astype(np.int64)


def reliability(confidence: Values, right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Compare confidence and accuracy, bin by bin.

    Args:
        confidence: (N,) in [0, 1], the probability of the predicted class.
        right: (N,) whether it is right.
        bins: M.
    Raises:
        ValueError: no recordings, or arrays that differ in shape.
    """
    if not len(confidence) or confidence.shape != right.shape:
        raise ValueError(f"confidence is {confidence.shape}, right is {right.shape}; expected (N,) for both, N > 0")
    numbers = bin_of(confidence, bins)
    count = np.bincount(numbers, minlength=bins)
    sums = [np.bincount(numbers, weights=value, minlength=bins) for value in (confidence, right)]
    mean_confidence, accuracy = (np.where(count, total / np.maximum(count, 1), np.nan) for total in sums)
    edges = np.linspace(0, 1, bins + 1)
    return Reliability(edges[:-1], edges[1:], count, mean_confidence, accuracy)


def error_if_calibrated(confidence: Values, bins: int = BINS, draws: int = 1000, seed: int = 0) -> float:
    """Compute the expected calibration error that a calibrated system of these confidences would have.

    It is above 0, the more so the fewer the recordings: with ten of them in a bin, the accuracy is a tenth off by
    chance. A measured error means little unless it is larger. Beside a metric this is what chance is beside the others.

    Args:
        confidence: (N,) in [0, 1].
        bins: M.
        draws: how often each recording is right with the probability that is its confidence.
        seed: of the draws.
    Returns:
        The mean error of the draws.
    """
    order = np.argsort(confidence, kind="stable")
    confidence = confidence[order]
    starts = np.unique(bin_of(confidence, bins), return_index=True)[1]
    rng = np.random.default_rng(seed)
    total = 0.0
    for _ in range(draws):
        gaps = (rng.random(len(confidence)) < confidence) - confidence
        total += float(np.abs(np.add.reduceat(gaps, starts)).sum())
    return total / draws / len(confidence)


def fit_temperature(log_probs: Values, targets: Indices) -> float:
    """Find the temperature T with which the mean -log softmax(log_probs / T)[target] is smallest.

    Where every recording is right, it would be smallest at T = 0, which claims certainty; 40 right ones of 40 say less.
    So one more recording counts, whose class is unknown: each class with a share of 1/K. It bounds T in the separable
    case, and its weight vanishes as recordings get more. The loss is convex in 1/T; a class without recordings needs no
    care, since T is one number for all classes.

    Args:
        log_probs: (N, K) of validation: log-probabilities or logits, finite.
        targets: (N,) the right classes.
    Returns:
        Above 1: the system was too confident; within 0.01 to 100.
    Raises:
        ValueError: see `check`.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2, for the added recording.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    check(log_probs, targets)
    own = log_probs[np.arange(len(targets)), targets].sum() + log_probs.mean(axis=1).mean()

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        partition = logsumexp(inverse * log_probs, axis=1)
        # the added recording has the scores of an average one
        return float((partition.sum() + partition.mean() - inverse * own) / (len(targets) + 1))

    bounds = (-np.log(HOTTEST), -np.log(COLDEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(-found.x))


def with_temperature(log_probs: Values, temperature: float) -> Values:
    """Return the (N, K) log-probabilities at a temperature; the predicted classes are the same.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; expected above 0")
    return log_probabilities(log_probs / temperature)


def check(log_probs: Values, targets: Indices) -> None:
    """Check the output of a system.

    Raises:
        ValueError: no recordings, shapes that do not fit, a class outside 0 to K - 1, or a value that is not finite.
    """
    if log_probs.ndim != 2 or targets.shape != log_probs.shape[:1] or not log_probs.size:
        raise ValueError(f"log_probs are {log_probs.shape}, targets are {targets.shape}; expected (N, K) and (N,)")
    if not 0 <= targets.min() <= targets.max() < log_probs.shape[1]:
        expected = f"0 to {log_probs.shape[1] - 1}"
        raise ValueError(f"targets are {targets.min()} to {targets.max()}; expected {expected}")
    bad = np.flatnonzero(~np.isfinite(log_probs).all(axis=1))
    if len(bad):
        raise ValueError(f"the log-probabilities of recording {bad[0]} are {log_probs[bad[0]]}; expected finite ones")
