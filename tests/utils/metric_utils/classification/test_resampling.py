"""All metrics of a system: agreement with repeated recordings, intervals, paired differences, size."""

import numpy as np
import pytest

from utils.metric_utils.classification.resampling import (
    Answers,
    drawn_metrics,
    metric_differences,
    metric_intervals,
)
from utils.metric_utils.classification.windows import log_probabilities
from utils.metric_utils.intervals import Clusters, bootstrap_intervals, resampled_counts


def answers_of(seed, recordings=60, classes=4, lift=1.5):
    rng = np.random.default_rng(seed)
    targets = np.arange(recordings) % classes
    return Answers.of(
        log_probabilities(rng.normal(size=(recordings, classes)) + lift * np.eye(classes)[targets]), targets
    )


def test_metrics_by_hand():
    answers = Answers.of(np.log([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]]), np.array([0, 1, 1]))
    assert answers.confusion.tolist() == [[1, 0], [1, 1]]
    assert answers.metrics() == pytest.approx(
        {
            "accuracy": 2 / 3,
            "balanced_accuracy": 0.75,
            "macro_f1": 2 / 3,
            "nll": -np.log(0.9 * 0.6 * 0.2) / 3,
            "ece": (0.1 + 0.4 + 0.8) / 3,
            "abstention_area": (1 + 0.5 + 2 / 3) / 3,
        }
    )


def test_the_most_confident_errors_come_first():
    answers = Answers.of(np.log([[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8]]), np.array([0, 1, 0, 0]))
    assert answers.confident_errors(9).tolist() == [2, 3, 1]
    assert answers.confident_errors(1).tolist() == [2]


def test_a_resample_has_the_metrics_of_its_recordings():
    """In whole clusters; the recordings are repeated as often as they are drawn."""
    answers, clusters = answers_of(0), np.arange(60) // 3 * 5
    drawn = drawn_metrics(answers, clusters, resamples=20, seed=3)
    groups = Clusters.of(clusters, {})
    (counts,) = resampled_counts(np.random.default_rng(3), groups, 20)
    for number, row in enumerate(counts[:, groups.label]):
        columns = (answers.targets, answers.predicted, answers.confidence, answers.loss)
        repeated = Answers(*(column.repeat(row) for column in columns), answers.classes)
        assert {key: values[number] for key, values in drawn.items()} == pytest.approx(repeated.metrics())


def test_the_interval_of_the_accuracy_is_that_of_a_mean_and_clusters_widen_it():
    answers = answers_of(1, recordings=120)
    single, grouped = np.arange(120), np.arange(120) // 12
    found = metric_intervals(answers, single, resamples=500, seed=7)
    expected = bootstrap_intervals({"accuracy": answers.right * 1.0}, single, resamples=500, seed=7)["accuracy"]
    assert found["accuracy"] == pytest.approx(expected)
    same = answers._replace(predicted=np.where(grouped % 3, answers.targets, (answers.targets + 1) % 4))
    widths = [np.ptp(metric_intervals(same, clusters, resamples=500)["accuracy"]) for clusters in (single, grouped)]
    assert widths[1] > 1.5 * widths[0]


def test_every_interval_holds_the_measured_value():
    for seed in range(5):
        answers = answers_of(seed)
        found, intervals = answers.metrics(), metric_intervals(answers, np.arange(60), resamples=300)
        for key, (low, high) in intervals.items():
            assert low <= found[key] <= high, key
            assert key == "nll" or 0 <= low <= high <= 1


def test_no_error_is_no_certainty():
    targets = np.array([0, 1] * 10)
    sure = np.log(np.where(np.eye(2)[targets] > 0, 0.9, 0.1))
    # 0.025 = p ** 20 at p = 0.8316: with a lower accuracy, 20 right ones of 20 are rarer than that
    low, high = metric_intervals(Answers.of(sure, targets), np.arange(20), resamples=50)["accuracy"]
    assert (low, high) == (pytest.approx(0.83157, abs=1e-5), 1)
    channels = np.arange(20) // 4
    assert metric_intervals(Answers.of(sure, targets), channels, resamples=50)["accuracy"].low == pytest.approx(
        0.4782, abs=1e-4
    )
    low, high = metric_intervals(Answers.of(sure, 1 - targets), np.arange(20), resamples=50)["accuracy"]
    assert (low, high) == (0, pytest.approx(0.16843, abs=1e-5))


def test_differences_are_paired():
    a, b = answers_of(0), answers_of(0, lift=3.0)  # the same noise
    clusters = np.arange(60)
    same = metric_differences(a, a, clusters, resamples=100)
    assert all(found.difference == 0 and found.interval == (0, 0) for found in same.values())
    found = metric_differences(a, b, clusters, resamples=300)["accuracy"]
    assert found.difference == pytest.approx(found.b - found.a)
    assert 0 < found.interval.low <= found.difference <= found.interval.high
    separate = [metric_intervals(x, clusters, resamples=300)["accuracy"] for x in (a, b)]
    assert np.ptp(found.interval) < np.ptp(separate[0]) + np.ptp(separate[1])
    with pytest.raises(ValueError, match=r"^the right classes of a and b differ; expected the same recordings"):
        metric_differences(a, b._replace(targets=b.targets[::-1]), clusters)


def test_classes_without_recordings_are_left_out():
    answers = Answers.of(np.log(np.full((4, 3), 1 / 3)), np.array([0, 0, 1, 1]))
    assert answers.metrics()["balanced_accuracy"] == 0.5  # of the two classes that there are
    drawn = drawn_metrics(answers, np.arange(4), resamples=200, seed=0)["balanced_accuracy"]
    assert set(drawn) == {0.0, 0.5, 1.0}  # without class 0, with both, without class 1


def test_one_cluster_is_refused():
    with pytest.raises(ValueError, match=r"^1 cluster of queries; expected at least 2"):
        metric_intervals(answers_of(0), np.zeros(60, int))
