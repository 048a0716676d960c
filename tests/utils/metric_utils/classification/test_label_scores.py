"""Classification: by hand, against scikit-learn, and what must not change a number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from utils.metric_utils.classification.counts import confusion_matrix
from utils.metric_utils.classification.label_scores import (
    chance_of_classification,
    class_accuracies,
    class_average_precisions,
    classification_intervals,
    classification_metrics,
    label_ranks,
)
from utils.metric_utils.scores import NonFiniteScoreError


def case(seed, clips=40, labels=7, several=False, lift=1.0):
    """Scores without ties, and their truth; every label has a clip."""
    rng = np.random.default_rng(seed)
    truth = np.eye(labels, dtype=bool)[rng.permutation(np.arange(clips) % labels)]
    if several:
        truth |= rng.random((clips, labels)) < 0.2
    return rng.standard_normal((clips, labels)) + lift * truth, truth


def test_one_label_a_clip_by_hand():
    scores = np.array([[3.0, 2, 1], [1, 3, 2], [2, 3, 1], [3, 1, 2]])
    truth = np.eye(3, dtype=bool)[[0, 1, 0, 2]]
    assert label_ranks(scores, truth).tolist() == [1, 1, 2, 2]
    found = classification_metrics(scores, truth)
    # class 0: clips 0 (3.0) and 2 (2.0); clip 3 (3.0) ties with clip 0 -> precisions 1/2, 2/3
    # class 1: clip 1 (3.0) ties with clip 2 -> 1/2;  class 2: clip 3 (2.0) ties with clip 1 -> 1/2
    assert found == pytest.approx(
        {"accuracy": 0.5, "class_accuracy": (0.5 + 1 + 0) / 3, "mAP": (7 / 12 + 1 / 2 + 1 / 2) / 3}
    )
    assert confusion_matrix(truth.argmax(1), scores.argmax(1), 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_several_labels_a_clip_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.1, 0.3]])
    truth = np.array([[False, True, True], [True, False, False]])
    assert label_ranks(scores, truth).tolist() == [2, 2]
    assert class_average_precisions(scores, truth).tolist() == [0.5, 1.0, 0.5]
    assert classification_metrics(scores, truth) == pytest.approx({"hit@1": 0.0, "mAP": 2 / 3})


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_agreement_with_scikit_learn(several, ties):
    for seed in range(50):
        scores, truth = case(seed, clips=20 + seed % 30, several=several)
        scores = scores.round(1) if ties else scores
        expected = [average_precision_score(truth[:, k], scores[:, k]) for k in range(truth.shape[1])]
        np.testing.assert_allclose(class_average_precisions(scores, truth), expected, rtol=0, atol=1e-12)
        if not several:
            right, best = truth.argmax(1), scores.argmax(1)
            assert classification_metrics(scores, truth)["class_accuracy"] == pytest.approx(
                balanced_accuracy_score(right, best)
            )
            np.testing.assert_array_equal(confusion_matrix(right, best, 7), sklearn_confusion(right, best))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), several=st.booleans(), ties=st.booleans())
def test_the_order_of_clips_and_labels_does_not_matter(seed, several, ties):
    scores, truth = case(seed, several=several)
    rng = np.random.default_rng(seed + 1)
    clips, labels = rng.permutation(40), rng.permutation(7)
    plain = classification_metrics(scores, truth)
    assert classification_metrics(scores[clips][:, labels], truth[clips][:, labels]) == pytest.approx(plain)
    if ties:  # of clips: ties of labels are broken by their order
        rounded = scores.round(0)
        np.testing.assert_allclose(
            class_average_precisions(rounded[clips], truth[clips]), class_average_precisions(rounded, truth)
        )


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_better_score_of_the_right_label_never_lowers_a_number(seed):
    scores, truth = case(seed)
    clip = seed % 40
    better = scores.copy()
    better[clip, truth[clip]] += 1.0
    before, after = classification_metrics(scores, truth), classification_metrics(better, truth)
    assert all(after[key] >= before[key] - 1e-12 for key in before)


def test_equal_scores_are_not_above_chance():
    truth = np.eye(4, dtype=bool)[np.repeat(np.arange(4), 5)]  # in the order of the classes
    chance = chance_of_classification(truth)
    found = classification_metrics(np.zeros((20, 4)), truth)
    assert found == pytest.approx({"accuracy": 0.25, "class_accuracy": 0.25, "mAP": chance["prevalence"]})
    assert chance["mAP"] > chance["prevalence"] == 0.25


def test_chance_by_hand():
    # two classes, of two and of one of three clips: the mean AP over all orders
    truth = np.array([[True, False], [True, False], [False, True]])
    two_of_three = np.mean([1, (1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2])
    one_of_three = np.mean([1, 1 / 2, 1 / 3])
    assert chance_of_classification(truth) == pytest.approx(
        {"accuracy": 0.5, "class_accuracy": 0.5, "mAP": (two_of_three + one_of_three) / 2, "prevalence": 0.5}
    )


@pytest.mark.parametrize("several", [False, True])
def test_random_scores_are_at_chance(several):
    _, truth = case(0, clips=30, several=several)
    rng = np.random.default_rng(0)
    found = [classification_metrics(rng.standard_normal(truth.shape), truth) for _ in range(1500)]
    chance = chance_of_classification(truth)
    for key in found[0]:
        assert np.mean([metrics[key] for metrics in found]) == pytest.approx(chance[key], abs=0.008)


def test_a_label_without_clips_is_a_candidate_and_no_part_of_the_means():
    scores, truth = case(3)
    more = np.hstack([scores, np.full((40, 1), -9.0)])
    wider = np.hstack([truth, np.zeros((40, 1), bool)])
    assert classification_metrics(more, wider) == classification_metrics(scores, truth)
    assert np.isnan(class_average_precisions(more, wider)[-1])
    assert np.isnan(class_accuracies(label_ranks(more, wider), wider)[-1])
    assert chance_of_classification(wider)["accuracy"] == 1 / 8
    more[:, -1] = 9.0
    assert classification_metrics(more, wider)["accuracy"] == 0
    intervals = classification_intervals(more, wider, np.arange(40), resamples=20)
    assert np.isfinite([end for interval in intervals.values() for end in interval]).all()


def test_cut_offs_of_all_labels_are_left_out():
    assert "accuracy@5" in classification_metrics(*case(0, labels=6))
    assert "accuracy@5" not in classification_metrics(*case(0, labels=5))
    assert "hit@5" in classification_metrics(*case(0, labels=6, several=True))


@pytest.mark.parametrize("several", [False, True])
def test_intervals_hold_the_number_and_repeat(several):
    scores, truth = case(1, clips=60, labels=9, several=several, lift=0.7)
    metrics = classification_metrics(scores, truth)
    intervals = classification_intervals(scores, truth, np.arange(60), resamples=300)
    assert list(intervals) == list(metrics)
    for key, (low, high) in intervals.items():
        assert 0 <= low < metrics[key] < high <= 1
    assert classification_intervals(scores, truth, np.arange(60), resamples=300) == intervals
    assert classification_intervals(scores, truth, np.arange(60), resamples=300, seed=1) != intervals
    narrow = classification_intervals(scores, truth, np.arange(60), resamples=300, level=0.5)
    assert all(intervals[k].low < narrow[k].low < narrow[k].high < intervals[k].high for k in narrow)


def test_cuts_of_one_recording_widen_the_intervals():
    scores, truth = case(2, clips=30, lift=0.7)
    scores, truth = np.repeat(scores, 4, axis=0), np.repeat(truth, 4, axis=0)
    loose = classification_intervals(scores, truth, np.arange(120), resamples=300)
    drawn = classification_intervals(scores, truth, np.arange(120) // 4, resamples=300)
    for key in loose:
        assert drawn[key].high - drawn[key].low > 1.4 * (loose[key].high - loose[key].low)


@pytest.mark.parametrize("clips", [60, 240])
def test_the_interval_of_map_has_its_nominal_coverage(clips):
    truth_of_many = np.mean([classification_metrics(*case(s, clips=clips))["mAP"] for s in range(200)])
    held = 0
    for seed in range(60):
        scores, truth = case(1000 + seed, clips=clips)
        low, high = classification_intervals(scores, truth, np.arange(clips), resamples=150)["mAP"]
        held += low <= truth_of_many <= high
    assert held / 60 >= 0.85


def test_intervals_come_in_blocks_of_any_size(monkeypatch):
    scores, truth = case(1)
    whole = classification_intervals(scores, truth, np.arange(40), resamples=50)
    monkeypatch.setattr("utils.metric_utils.intervals._BLOCK_NUMBERS", 7 * 40)
    blocks = classification_intervals(scores, truth, np.arange(40), resamples=50)
    for key, ends in whole.items():
        assert blocks[key] == pytest.approx(ends)


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (np.zeros((2, 3)), np.ones((3, 2), bool), r"scores are \(2, 3\), truth is bool \(3, 2\); expected \(N, K\)"),
        (np.zeros((2, 3)), np.ones((2, 3)), r"truth is float64 \(2, 3\); expected \(N, K\), and bool"),
        (np.zeros((0, 3)), np.ones((0, 3), bool), "0 clips and 3 labels; expected at least one of each"),
        (np.zeros((2, 2)), np.array([[True, False], [False, False]]), "clip 1 has no label"),
    ],
)
def test_undefined_input_is_refused(scores, truth, message):
    for function in (label_ranks, class_average_precisions, classification_metrics):
        with pytest.raises(ValueError, match=message):
            function(scores, truth)


def test_scores_that_are_not_finite_are_named():
    scores, truth = case(0)
    scores[3, 2] = np.nan
    with pytest.raises(NonFiniteScoreError) as caught:
        classification_metrics(scores, truth)
    assert (caught.value.query, caught.value.candidate) == (3, 2)


@pytest.mark.parametrize(
    ("targets", "predicted", "message"),
    [
        ([0, 1], [0], r"targets are \(2,\), predicted are \(1,\)"),
        ([0, 3], [0, 1], "targets are 0 to 3; expected 0 to 2"),
        ([0, 1], [-1, 1], "predicted are -1 to 1; expected 0 to 2"),
    ],
)
def test_labels_out_of_range_are_refused(targets, predicted, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(targets), np.array(predicted), 3)


def test_one_recording_gives_no_interval():
    scores, truth = case(0)
    with pytest.raises(ValueError, match="expected at least 2"):
        classification_intervals(scores, truth, np.zeros(40, np.int64))
