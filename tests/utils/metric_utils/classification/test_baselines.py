"""Baselines: the majority class, and a regression that finds what is there to find."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from utils.metric_utils.classification.baselines import fit_logistic_regression, majority_log_probabilities
from utils.metric_utils.classification.resampling import Answers


def blobs(seed, recordings, classes=3, width=4, spread=1.0):
    """Classes around centres of their own, in dimensions of unequal scale, one of them constant."""
    rng = np.random.default_rng(seed)
    targets = np.arange(recordings) % classes
    centres = 3 * np.eye(classes, width)
    features = (centres[targets] + spread * rng.normal(size=(recordings, width))) * [1, 100, 1e-3, 1][:width]
    return np.concatenate([features, np.full((recordings, 1), 7.0)], axis=1), targets


def test_the_majority_of_training_is_predicted_for_all():
    found = majority_log_probabilities(np.array([2, 2, 0]), 4, recordings=5)
    assert found.shape == (5, 4)
    np.testing.assert_allclose(np.exp(found[0]), np.array([1.5, 0.5, 2.5, 0.5]) / 5)
    answers = Answers.of(found, np.array([0, 1, 2, 2, 3]))
    assert answers.metrics()["accuracy"] == 0.4
    assert answers.metrics()["balanced_accuracy"] == 0.25


@pytest.mark.parametrize("classes", [2, 3])
def test_a_regression_is_that_of_scikit_learn(classes):
    training, (features, targets) = blobs(0, 60, classes), blobs(1, 30, classes)
    found = fit_logistic_regression(training, (features, targets), classes)
    scaler = StandardScaler().fit(training[0])
    model = LogisticRegression(C=found.strength, max_iter=1000).fit(scaler.transform(training[0]), training[1])
    expected = model.predict_log_proba(scaler.transform(features))
    np.testing.assert_allclose(found.log_probabilities(features), expected, atol=1e-6)
    assert found.accuracy == model.score(scaler.transform(features), targets) > 0.8


def test_the_penalty_is_chosen_by_accuracy_and_then_by_likelihood():
    training, validation = blobs(0, 30, width=3, spread=2.0), blobs(1, 60, width=3, spread=2.0)
    strengths = (1e-4, 1e-2, 1.0, 1e4)
    measured = []
    for strength in strengths:
        one = fit_logistic_regression(training, validation, 3, [strength])
        metrics = Answers.of(one.log_probabilities(validation[0]), validation[1]).metrics()
        assert one.accuracy == metrics["accuracy"]
        measured.append((metrics["accuracy"], -metrics["nll"]))
    assert len(set(measured)) == 4
    found = fit_logistic_regression(training, validation, 3, strengths)
    assert found.strength == strengths[measured.index(max(measured))]


def test_a_class_that_training_lacks_is_never_predicted():
    (features, targets), (others, right) = blobs(0, 60, classes=2), blobs(1, 60, classes=3)
    found = fit_logistic_regression((features, 2 * targets), (others, right), 3)  # classes 0 and 2
    log_probs = found.log_probabilities(others)
    assert np.isfinite(log_probs).all()
    assert set(log_probs.argmax(axis=1)) == {0, 2}


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"^1 classes in training, 3 recordings in validation"):
        fit_logistic_regression((np.zeros((4, 2)), np.zeros(4, int)), blobs(0, 3), 3)
