"""Abstention: by hand, ties, and against the mean over all cuts."""

import numpy as np
import pytest

from utils.metric_utils.classification.abstention import abstention_area, abstention_curve, weighted_areas


def test_a_curve_by_hand():
    confidence = np.array([0.5, 0.9, 0.7, 0.7])
    right = np.array([False, True, True, False])
    curve = abstention_curve(confidence, right)
    assert curve.share.tolist() == [0.25, 0.75, 1]  # the two of equal confidence are answered together
    np.testing.assert_allclose(curve.accuracy, [1, 2 / 3, 0.5])
    assert curve.threshold.tolist() == [0.9, 0.7, 0.5]
    assert curve.at(0.25) == 1
    assert curve.at(0.5) == pytest.approx(2 / 3)
    assert abstention_area(confidence, right) == pytest.approx(0.25 * 1 + 0.5 * 2 / 3 + 0.25 * 0.5)


def test_a_constant_confidence_gives_the_accuracy_and_a_perfect_order_more():
    right = np.array([True, False, True, False])
    assert abstention_area(np.ones(4), right) == 0.5
    assert abstention_area(right * 1.0, right) == pytest.approx(0.75)
    assert abstention_area(1.0 - right, right) == pytest.approx(0.25)


def test_without_ties_it_is_the_mean_over_all_cuts_in_any_order():
    rng = np.random.default_rng(0)
    confidence, right = rng.random(50), rng.random(50) < 0.6
    order = np.argsort(-confidence)
    cuts = [right[order[: n + 1]].mean() for n in range(50)]
    assert abstention_area(confidence, right) == pytest.approx(np.mean(cuts))
    shuffled = rng.permutation(50)
    assert abstention_area(confidence[shuffled], right[shuffled]) == pytest.approx(np.mean(cuts))


def test_a_weight_is_a_repetition():
    rng = np.random.default_rng(0)
    confidence, right = rng.random(20).round(1), rng.random(20) < 0.6
    weights = rng.integers(0, 4, (6, 20))
    found = weighted_areas(confidence, right, weights)
    expected = [abstention_area(confidence.repeat(row), right.repeat(row)) for row in weights]
    np.testing.assert_allclose(found, expected)


def test_no_recordings_are_refused():
    with pytest.raises(ValueError, match=r"^confidence is \(0,\), right is \(0,\); expected \(N,\) for both, N > 0$"):
        abstention_curve(np.zeros(0), np.zeros(0, bool))
