"""Abstention: a system that answers only where it is confident is right more often; how much more, for which share.

Source: Geifman and El-Yaniv, "Selective classification for deep neural networks", NIPS 2017: the risk-coverage curve,
here with the accuracy in place of the risk.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values


class AbstentionCurve(NamedTuple):
    """A point for each level of confidence, from the highest one: P points, the last with all recordings answered."""

    share: Values  # (P,) share of the recordings that are answered, ascending to 1
    accuracy: Values  # (P,) of those
    threshold: Values  # (P,) the lowest confidence that is answered

    def at(self, share: float) -> float:
        """Return the accuracy at the first point that answers at least this share."""
        return float(self.accuracy[np.searchsorted(self.share, share - 1e-12)])


class _Ranked(NamedTuple):
    order: Indices  # (N,) recordings by confidence, the highest first
    last: Indices  # (N,) place of the last recording of equal confidence, in that order


def abstention_curve(confidence: Values, right: NDArray[np.bool_]) -> AbstentionCurve:
    """Compute the accuracy at every share of answered recordings.

    Recordings of equal confidence are answered together, so that their order in the table does not matter.

    Args:
        confidence: (N,), higher: more confident.
        right: (N,) whether the predicted class is right.
    Raises:
        ValueError: no recordings, or arrays that differ in shape.
    """
    ranked = _ranked(confidence, right)
    ends = np.unique(ranked.last)
    found = np.cumsum(right[ranked.order])[ends] / (ends + 1)
    return AbstentionCurve((ends + 1) / len(right), found, confidence[ranked.order][ends])


def abstention_area(confidence: Values, right: NDArray[np.bool_]) -> float:
    """Compute the area below the curve: the mean accuracy over all shares, in [0, 1], higher is better.

    With a constant confidence it is the accuracy.

    Args:
        confidence: (N,).
        right: (N,).
    Raises:
        ValueError: see `abstention_curve`.
    """
    return float(weighted_areas(confidence, right, np.ones((1, len(right)), np.int64))[0])


def weighted_areas(confidence: Values, right: NDArray[np.bool_], weights: Indices) -> Values:
    """Compute the areas of R resamples.

    Args:
        confidence: (N,).
        right: (N,).
        weights: (R, N) how often each recording counts; at least one a row.
    Returns:
        (R,).
    Raises:
        ValueError: see `abstention_curve`.
    """
    ranked = _ranked(confidence, right)
    drawn = weights[:, ranked.order]
    answered = np.cumsum(drawn, axis=1)[:, ranked.last]
    hits = np.cumsum(drawn * right[ranked.order], axis=1)[:, ranked.last]
    areas: Values = (drawn * hits / np.maximum(answered, 1)).sum(axis=1) / drawn.sum(axis=1)
    return areas


def _ranked(confidence: Values, right: NDArray[np.bool_]) -> _Ranked:
    if not len(confidence) or confidence.shape != right.shape:
        raise ValueError(f"confidence is {confidence.shape}, right is {right.shape}; expected (N,) for both, N > 0")
    order = np.argsort(-confidence, kind="stable")
    sorted_ = confidence[order]
    is_last = np.append(sorted_[1:] != sorted_[:-1], True)
    return _Ranked(order, np.flatnonzero(is_last)[np.cumsum(is_last) - is_last])
