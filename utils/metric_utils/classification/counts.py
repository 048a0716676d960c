"""Counts of right and predicted classes -> accuracy, balanced accuracy, macro-F1, and the table of the classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from utils.metric_utils.checks import Indices, Values

ACCURACY = "accuracy"
BALANCED_ACCURACY = "balanced_accuracy"
MACRO_F1 = "macro_f1"


def confusion_matrix(targets: Indices, predicted: Indices, number_of_labels: int) -> Indices:
    """Count clips by right label (rows) and predicted label (columns).

    Args:
        targets: (N,) right label of each clip.
        predicted: (N,) the label with its best score.
        number_of_labels: K.
    Returns:
        (K, K) int64.
    Raises:
        ValueError: arrays that differ in shape, or a label outside [0, K).
    """
    if targets.shape != predicted.shape or targets.ndim != 1:
        raise ValueError(f"targets are {targets.shape}, predicted are {predicted.shape}; expected (N,) for both")
    for name, labels in (("targets", targets), ("predicted", predicted)):
        if len(labels) and not 0 <= labels.min() <= labels.max() < number_of_labels:
            raise ValueError(f"{name} are {labels.min()} to {labels.max()}; expected 0 to {number_of_labels - 1}")
    cells = np.bincount(targets * number_of_labels + predicted, minlength=number_of_labels**2)
    return cells.reshape(number_of_labels, number_of_labels)


class ClassCounts(NamedTuple):
    """Counts of each class, of one set of recordings or of many: any shape that ends in K."""

    right: Values  # (..., K) recordings of the class that are predicted to be of it
    predicted: Values  # (..., K) recordings that are predicted to be of the class
    support: Values  # (..., K) recordings of the class

    @classmethod
    def of(cls, confusion: Indices) -> ClassCounts:
        """Count by a (K, K) confusion matrix, right classes in rows."""
        counts = confusion.astype(np.float64)
        return cls(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))

    @property
    def precision(self) -> Values:
        """The share of the predicted recordings that are right; NaN for a class that is never predicted."""
        return _ratio(self.right, self.predicted)

    @property
    def recall(self) -> Values:
        """The share of the class that is found; NaN for a class without recordings."""
        return _ratio(self.right, self.support)

    @property
    def f1(self) -> Values:
        """The harmonic mean of precision and recall, 0 without right recordings; NaN for a class without recordings.

        scikit-learn counts a class without recordings that is predicted as 0. Here its errors lower the recall of the
        classes that they are taken from, once, and the mean is over the same classes as that of the recalls.
        """
        f1 = _ratio(2 * self.right, self.predicted + self.support)
        return np.where(self.support > 0, f1, np.nan)

    def metrics(self) -> dict[str, Values]:
        """Compute the metrics over all classes that have recordings.

        Returns:
            Each in [0, 1], higher is better, of shape (...): accuracy; balanced accuracy, the mean recall; macro-F1,
            the mean F1.
        """
        return {
            ACCURACY: _ratio(self.right.sum(axis=-1), self.support.sum(axis=-1)),
            BALANCED_ACCURACY: np.nanmean(self.recall, axis=-1),
            MACRO_F1: np.nanmean(self.f1, axis=-1),
        }


def _ratio(part: Values, whole: Values) -> Values:
    """Divide; 0 / 0 is NaN, without a warning."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
