from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from scipy import stats

from utils.metric_utils import intervals
from utils.metric_utils.comparison import compare_paired
from utils.metric_utils.retrieval import summarise


def two_systems(seed, clips=40, captions=5, better=0.0):
    """Hits and best ranks of two systems that find the same clips hard."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.normal(0, 1, clips), captions)
    systems = []
    for shift in (0.0, better):
        ranks = np.ceil(np.exp(2 + hard - shift + rng.normal(0, 0.7, len(hard))))
        systems.append({"hit@5": (ranks <= 5).astype(float), "median_rank": ranks, "mAP@10": 1 / ranks})
    return *systems, np.repeat(np.arange(clips), captions)


def test_comparison_by_hand():
    # b is better by 1 on each of three clips: of the 8 exchanges two, none and all, leave a difference as large.
    a, b = {"R@1": np.zeros(3)}, {"R@1": np.ones(3)}
    found = compare_paired(a, b, np.arange(3), resamples=8000)["R@1"]
    assert found[:3] == (0.0, 1.0, 1.0)
    assert found.interval == (1.0, 1.0)
    assert found.p_value == pytest.approx(0.25, abs=0.02)


def test_identical_systems_do_not_differ():
    a, _, clips = two_systems(0)
    for comparison in compare_paired(a, a, clips, resamples=500).values():
        assert comparison.difference == 0
        assert comparison.interval == (0, 0)
        assert comparison.p_value == 1
        assert comparison.a == comparison.b


def test_the_two_systems_may_change_places():
    a, b, clips = two_systems(1, better=0.3)
    forward, back = compare_paired(a, b, clips, 2000), compare_paired(b, a, clips, 2000)
    for key in a:
        assert (back[key].a, back[key].b) == (forward[key].b, forward[key].a)
        assert back[key].difference == -forward[key].difference
        assert back[key].p_value == pytest.approx(forward[key].p_value, abs=0.03)
        assert back[key].interval == pytest.approx((-forward[key].interval.high, -forward[key].interval.low), abs=1e-9)


def test_numbers_are_those_of_the_metrics_and_intervals_hold_the_difference():
    a, b, clips = two_systems(2, better=0.5)
    found = compare_paired(a, b, clips, 2000)
    assert list(found) == list(a)
    for key, one in found.items():
        assert (one.a, one.b) == (summarise(a)[key], summarise(b)[key])
        assert one.difference == one.b - one.a
        assert one.interval.low <= one.difference <= one.interval.high
    assert found["hit@5"].difference > 0 > found["median_rank"].difference


@pytest.mark.parametrize("key", ["mAP@10", "median_rank"])
def test_p_value_equals_the_enumeration_of_all_exchanges(key):
    a, b, clips = two_systems(3, clips=9, better=0.35)
    a, b = {key: a[key]}, {key: b[key]}
    summary = np.median if key == "median_rank" else np.mean
    apart = []
    for swap in itertools.product([False, True], repeat=9):
        swapped = np.array(swap)[clips]
        apart.append(summary(np.where(swapped, a[key], b[key])) - summary(np.where(swapped, b[key], a[key])))
    exact = np.mean(np.abs(apart) >= abs(apart[0]) - 1e-12)
    found = compare_paired(a, b, clips, resamples=20_000)[key]
    assert 0.01 < exact < 0.9
    assert found.p_value == pytest.approx(exact, abs=0.012)


@pytest.mark.parametrize("tenths", [[9, 9, -2, -2, -7], [6, 5, -6, -5, 5], [-2, 9, 2, -9, -2]])
def test_equal_differences_count_as_equal_whatever_their_last_bits(tenths):
    """Sums of the same tenths in another order differ by 1e-16: that changed these p-values by a third."""
    sums = [np.dot(signs, tenths) for signs in itertools.product([-1, 1], repeat=5)]  # whole numbers
    exact = np.mean(np.abs(sums) >= abs(sum(tenths)))
    b = {"R@1": np.array(tenths) / 10}
    found = compare_paired({"R@1": np.zeros(5)}, b, np.arange(5), resamples=8000)["R@1"]
    assert found.p_value == pytest.approx(exact, abs=0.02)


def test_p_value_and_interval_agree_with_the_paired_t_test_of_many_clips():
    a, b, clips = two_systems(4, clips=400, captions=1, better=0.08)
    found = compare_paired(a, b, clips)["mAP@10"]
    reference = stats.ttest_rel(b["mAP@10"], a["mAP@10"])
    assert found.p_value == pytest.approx(reference.pvalue, abs=0.02)
    low, high = reference.confidence_interval()
    assert found.interval == pytest.approx((low, high), abs=0.1 * (high - low))


def test_p_values_are_uniform_where_the_systems_are_alike_and_small_where_they_are_not():
    alike = [compare_paired(*two_systems(seed), resamples=300)["mAP@10"].p_value for seed in range(200)]
    assert stats.kstest(alike, "uniform").pvalue > 0.01
    apart = [compare_paired(*two_systems(seed, better=0.5), resamples=300)["mAP@10"].p_value for seed in range(20)]
    assert max(apart) <= 0.05
    assert min(apart) == 1 / 301  # never 0


def test_captions_counted_one_by_one_find_differences_that_are_not_there():
    """A clip that b hears better moves all its captions: by caption that looks like five findings."""
    rejected = {"clip": 0, "caption": 0}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        clips = np.repeat(np.arange(40), 5)
        a = {"mAP@10": np.zeros(200)}
        b = {"mAP@10": rng.normal(0, 1, 40)[clips] + rng.normal(0, 0.3, 200)}
        for name, clusters in (("clip", clips), ("caption", np.arange(200))):
            rejected[name] += compare_paired(a, b, clusters, resamples=300)["mAP@10"].p_value <= 0.05
    assert rejected["clip"] <= 11
    assert rejected["caption"] >= 25


@pytest.mark.parametrize("numbers", [1, 500, 5000])
def test_blocks_of_any_size_give_the_same_numbers(numbers, monkeypatch):
    a, b, clips = two_systems(5, better=0.2)
    whole = compare_paired(a, b, clips, resamples=150, seed=8)
    monkeypatch.setattr(intervals, "_BLOCK_NUMBERS", numbers)
    parts = compare_paired(a, b, clips, resamples=150, seed=8)
    for key in a:
        assert parts[key].p_value == whole[key].p_value
        assert parts[key].interval == pytest.approx(whole[key].interval, abs=1e-12)


def test_systems_that_cannot_be_compared_are_refused():
    ones = {"R@1": np.ones(4), "R@5": np.ones(4)}
    clips = np.array([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"^the metrics differ: R@5, hit@1; expected the same of both systems$"):
        compare_paired(ones, {"R@1": np.ones(4), "hit@1": np.ones(4)}, clips)
    with pytest.raises(ValueError, match=re.escape("R@1 is (3,), clusters are (4,); expected (Q,) for both")):
        compare_paired(ones, {"R@1": np.ones(3), "R@5": np.ones(4)}, clips)
    with pytest.raises(ValueError, match=r"^1 cluster of queries; expected at least 2: there is nothing to resample$"):
        compare_paired(ones, ones, np.zeros(4, int))
    with pytest.raises(ValueError, match=r"^resamples is 0; expected at least 1$"):
        compare_paired(ones, ones, clips, resamples=0)
    with pytest.raises(ValueError, match=r"^level is 95; expected between 0 and 1, such as 0.95$"):
        compare_paired(ones, ones, clips, level=95)
