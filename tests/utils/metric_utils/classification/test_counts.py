"""Metrics of counts: by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_recall_fscore_support

from utils.metric_utils.classification.counts import ClassCounts, confusion_matrix


def test_by_hand():
    # rows: right classes; the last class has no recordings, and one recording is predicted to be of it
    counts = ClassCounts.of(np.array([[3, 1, 0, 0], [0, 2, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]))
    np.testing.assert_allclose(counts.precision, [3 / 4, 2 / 3, np.nan, 0])
    np.testing.assert_allclose(counts.recall, [3 / 4, 2 / 3, 0, np.nan])
    np.testing.assert_allclose(counts.f1, [3 / 4, 2 / 3, 0, np.nan])
    found = counts.metrics()
    assert found["accuracy"] == 5 / 8
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 2 / 3) / 3)
    assert found["macro_f1"] == pytest.approx((3 / 4 + 2 / 3) / 3)


@pytest.mark.parametrize("seed", range(20))
def test_agreement_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    targets, predicted = rng.integers(0, 6, (2, 50))
    predicted = np.where(rng.random(50) < 0.5, targets, predicted)
    counts = ClassCounts.of(confusion_matrix(targets, predicted, 6))
    found = counts.metrics()
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(targets, predicted))
    present = np.unique(targets)
    assert found["macro_f1"] == pytest.approx(f1_score(targets, predicted, labels=present, average="macro"))
    expected = precision_recall_fscore_support(targets, predicted, labels=np.arange(6), zero_division=np.nan)
    for own, theirs in zip((counts.precision, counts.recall, counts.f1, counts.support), expected, strict=True):
        np.testing.assert_allclose(own, theirs)


def test_many_sets_of_recordings_at_once():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 5, (7, 4, 4))
    each = [ClassCounts.of(matrix) for matrix in matrices]
    together = ClassCounts(*(np.stack(column) for column in zip(*each, strict=True))).metrics()
    for key, values in together.items():
        assert values.tolist() == [float(counts.metrics()[key]) for counts in each]
