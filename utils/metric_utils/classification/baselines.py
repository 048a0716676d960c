"""What any system must beat: the most frequent class, and a logistic regression on a few features of each recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.classification.resampling import Answers
from utils.metric_utils.classification.windows import log_probabilities

# Weights of the data beside the penalty: from next to no weight matrix to next to no penalty.
STRENGTHS = tuple(10.0**n for n in range(-4, 3))
_STEPS = 1000  # of L-BFGS


class LogisticRegression(NamedTuple):
    """A linear classifier of standardised features, and how it was chosen."""

    mean: Values  # (D,) of the training features
    deviation: Values  # (D,); 1 where a feature is constant
    weights: Values  # (K, D)
    bias: Values  # (K,); of a class without training recordings so low that it is never predicted
    strength: float  # the chosen one of `STRENGTHS`
    accuracy: float  # on validation

    def log_probabilities(self, features: NDArray[Any]) -> Values:
        """Return the (N, K) log-probabilities of (N, D) features, all finite."""
        standardised = (np.asarray(features, np.float64) - self.mean) / self.deviation
        return log_probabilities(standardised @ self.weights.T + self.bias)


def majority_log_probabilities(training: Indices, classes: int, recordings: int) -> Values:
    """Predict the most frequent class of training for every recording, each class with its share as probability.

    Args:
        training: (n,) classes of the training recordings.
        classes: K.
        recordings: N.
    Returns:
        (N, K), finite: half a recording is added to each class.
    """
    counts = np.bincount(training, minlength=classes) + 0.5
    return np.tile(np.log(counts / counts.sum()), (recordings, 1))


def fit_logistic_regression(
    training: tuple[NDArray[Any], Indices],
    validation: tuple[NDArray[Any], Indices],
    classes: int,
    strengths: Iterable[float] = STRENGTHS,
) -> LogisticRegression:
    """Fit a multinomial logistic regression, with the strength of its penalty chosen on validation.

    The best accuracy is chosen; of equal ones, the lowest mean -log probability of the right class.

    Args:
        training: (n, D) features of any scale, and their (n,) classes.
        validation: (m, D) and (m,).
        classes: K; some may have no training recording.
        strengths: to choose from: C of scikit-learn, the inverse of the weight of the squared coefficients. Each is
            taken when its turn comes, so that they may be those of a progress bar.
    Raises:
        ValueError: fewer than two classes in training, no validation, or features that are not finite.
    """
    features, targets = np.asarray(training[0], np.float64), training[1]
    present = np.unique(targets)
    if len(present) < 2 or not len(validation[1]):
        raise ValueError(f"{len(present)} classes in training, {len(validation[1])} recordings in validation")
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 1e-9 * (1 + np.abs(mean)), deviation, 1.0)
    standardised = (features - mean) / deviation
    fitted = []
    for strength in strengths:
        weights, bias = _fit(standardised, targets, classes, strength)
        found = LogisticRegression(mean, deviation, weights, bias, strength, 0.0)
        metrics = Answers.of(found.log_probabilities(validation[0]), validation[1]).metrics()
        fitted.append((metrics["accuracy"], -metrics["nll"], found))
    accuracy, _, best = max(fitted, key=lambda choice: choice[:2])
    return best._replace(accuracy=accuracy)


def _fit(features: Values, targets: Indices, classes: int, strength: float) -> tuple[Values, Values]:
    """Return (K, D) weights and (K,) biases."""
    from sklearn.linear_model import LogisticRegression as Regression

    present = np.unique(targets)
    model = Regression(C=strength, max_iter=_STEPS).fit(features, targets)
    # of two classes, scikit-learn has the weights of the second one alone
    own = (model.coef_, model.intercept_) if len(present) > 2 else _both(model.coef_[0], model.intercept_[0])
    weights, bias = np.zeros((classes, features.shape[1])), np.full(classes, own[1].min() - 30.0)
    weights[present], bias[present] = own
    return weights, bias


def _both(weights: Values, bias: float) -> tuple[Values, Values]:
    return np.stack([np.zeros_like(weights), weights]), np.array([0.0, bias])
