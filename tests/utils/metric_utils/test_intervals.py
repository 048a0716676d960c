from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metric_utils import intervals
from utils.metric_utils.intervals import bootstrap_intervals, bootstrap_metrics, jackknife_intervals
from utils.metric_utils.retrieval import Cutoffs, per_query_values

Z = 1.959963984540054


def write_out(values, counts):
    """Each value as often as it counts."""
    return np.repeat(np.asarray(values, float), counts)


# ---------------------------------------------------------------- jackknife


def test_jackknife_of_clusters_of_one_is_the_textbook_standard_error():
    values = np.array([0.0, 1.0, 0.5, 0.25, 1.0, 0.0, 0.125])
    se = values.std(ddof=1) / np.sqrt(len(values))
    found = jackknife_intervals({"R@1": values}, np.arange(7))["R@1"]
    assert found == pytest.approx((values.mean() - Z * se, values.mean() + Z * se), abs=1e-12)


def test_jackknife_by_hand():
    # Clips 7 (two captions), 3 and 5: leaving each out gives 0.5, 2/3 and 1/3, of mean 0.5.
    values, clips = np.array([1.0, 0.0, 0.0, 1.0]), np.array([7, 3, 7, 5])
    se = np.sqrt(2 / 3 * ((2 / 3 - 0.5) ** 2 + (1 / 3 - 0.5) ** 2))
    found = jackknife_intervals({"R@1": values}, clips)
    assert found["R@1"] == pytest.approx((0.5 - Z * se, 0.5 + Z * se), abs=1e-12)


def test_jackknife_equals_leaving_out_each_clip_for_several_metrics_at_once():
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 9, 40)
    values = {"R@1": rng.random(40), "median_rank": rng.random(40), "mAP@10": rng.random(40)}
    found = jackknife_intervals(values, clips, level=0.5)
    assert list(found) == ["R@1", "mAP@10"]
    for key, interval in found.items():
        left = np.array([values[key][clips != clip].mean() for clip in np.unique(clips)])
        reach = 0.6744897501960817 * np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum())
        assert interval == pytest.approx((values[key].mean() - reach, values[key].mean() + reach), abs=1e-12)


# ---------------------------------------------------------------- bootstrap


def test_bootstrap_by_hand():
    # Two clips, one found and one not: a resample gives 0, 0.5 or 1, in shares of 1/4, 1/2, 1/4.
    values = {"R@1": np.array([1.0, 1.0, 0.0, 0.0])}
    drawn = bootstrap_metrics(values, np.array([0, 0, 1, 1]), resamples=4000)["R@1"]
    numbers, counts = np.unique(drawn, return_counts=True)
    assert numbers.tolist() == [0.0, 0.5, 1.0]
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert bootstrap_intervals(values, np.array([0, 0, 1, 1])) == {"R@1": (0.0, 1.0)}
    assert bootstrap_intervals(values, np.array([0, 0, 1, 1]), level=0.4)["R@1"] == (0.5, 0.5)


def test_each_resample_is_the_metric_of_the_clips_drawn(monkeypatch):
    rng = np.random.default_rng(1)
    clips = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    values = {"R@1": rng.random(10), "median_rank": rng.integers(1, 6, 10).astype(float)}
    seen = []
    resampled_counts = intervals.resampled_counts

    def watch(*arguments):
        for weights in resampled_counts(*arguments):
            seen.append(weights)
            yield weights

    monkeypatch.setattr(intervals, "resampled_counts", watch)
    drawn = bootstrap_metrics(values, clips, resamples=300, seed=3)
    weights = np.concatenate(seen)
    assert weights.shape == (300, 4)
    assert (weights.sum(axis=1) == 4).all()
    for row, counts in enumerate(weights):
        written_out = {key: write_out(value, counts[clips]) for key, value in values.items()}
        assert drawn["R@1"][row] == pytest.approx(written_out["R@1"].mean(), abs=1e-12)
        assert drawn["median_rank"][row] == np.median(written_out["median_rank"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    pairs=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4)), min_size=1, max_size=9).filter(
        lambda p: any(count for _, count in p)
    )
)
def test_weighted_median_is_the_median_of_the_numbers_written_out(pairs):
    values, counts = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    ones = np.arange(1, len(values) + 1)
    found = intervals.weighted_medians(values.astype(float), np.stack([np.cumsum(counts), ones]))
    assert found.tolist() == [np.median(write_out(values, counts)), np.median(values)]


@pytest.mark.parametrize("numbers", [1, 70, 1000])
def test_blocks_of_any_size_give_the_same_intervals(numbers, monkeypatch):
    rng = np.random.default_rng(2)
    clips = rng.integers(0, 30, 100)
    values = {"R@1": rng.random(100), "median_rank": rng.integers(1, 50, 100).astype(float)}
    whole = bootstrap_intervals(values, clips, resamples=200, seed=4)
    monkeypatch.setattr(intervals, "_BLOCK_NUMBERS", numbers)
    parts = bootstrap_intervals(values, clips, resamples=200, seed=4)
    for key in values:
        assert parts[key] == pytest.approx(whole[key], abs=1e-12)


def test_names_of_clips_and_order_of_queries_change_nothing():
    rng = np.random.default_rng(3)
    clips = np.repeat(np.arange(20), 5)
    values = {"R@1": rng.random(100), "median_rank": rng.integers(1, 50, 100).astype(float)}
    order = rng.permutation(100)
    shuffled = {key: value[order] for key, value in values.items()}
    for of in (bootstrap_intervals, jackknife_intervals):
        expected = of(values, clips)
        found = of(shuffled, clips[order] * 10 - 70)
        assert list(found) == list(expected)
        for key in found:
            assert found[key] == pytest.approx(expected[key], abs=1e-12)


def test_the_seed_decides_and_equal_values_have_no_width():
    rng = np.random.default_rng(4)
    values, clips = {"R@1": rng.random(50)}, np.arange(50) // 5
    one, again, other = (bootstrap_intervals(values, clips, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    same = {"R@1": np.full(50, 0.25), "median_rank": np.full(50, 3.0)}
    assert bootstrap_intervals(same, clips) == {"R@1": (0.25, 0.25), "median_rank": (3.0, 3.0)}
    assert jackknife_intervals(same, clips) == {"R@1": (0.25, 0.25)}


# ---------------------------------------------------------------- what an interval promises


def clustered_hits(rng, clips=80, captions=5):
    """0/1 of captions whose chance of success, 0.4 on average, is that of their clip."""
    chance = rng.beta(0.8, 1.2, clips)
    return (rng.random((clips, captions)) < chance[:, None]).astype(float).ravel()


def test_intervals_by_clip_cover_the_truth_and_those_by_caption_do_not():
    rng = np.random.default_rng(5)
    clips = np.repeat(np.arange(80), 5)
    covered = dict.fromkeys(("jackknife", "bootstrap", "by caption"), 0)
    trials = 300
    for seed in range(trials):
        values = {"R@10": clustered_hits(rng)}
        found = {
            "jackknife": jackknife_intervals(values, clips),
            "bootstrap": bootstrap_intervals(values, clips, resamples=500, seed=seed),
            "by caption": bootstrap_intervals(values, np.arange(400), resamples=500, seed=seed),
        }
        for name, interval in found.items():
            covered[name] += interval["R@10"].low <= 0.4 <= interval["R@10"].high
    shares = {name: count / trials for name, count in covered.items()}
    assert 0.90 <= shares["jackknife"] <= 0.99
    assert 0.90 <= shares["bootstrap"] <= 0.99
    assert shares["by caption"] < 0.85


def test_the_interval_of_the_median_rank_covers_the_median():
    rng = np.random.default_rng(6)
    clips = np.repeat(np.arange(60), 5)
    covered = 0
    for seed in range(200):
        of_clip = rng.normal(0, 1, 60)  # difficulty: median rank exp(3)
        ranks = np.exp(3 + of_clip[clips] + rng.normal(0, 0.5, 300))
        low, high = bootstrap_intervals({"median_rank": ranks}, clips, resamples=300, seed=seed)["median_rank"]
        covered += low <= np.exp(3) <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_both_intervals_of_clotho_s_size_are_quick():
    rng = np.random.default_rng(7)
    queries = np.arange(5225)
    cutoffs = Cutoffs(hit=(1, 5, 10), ndcg=(10, 16))
    values = per_query_values(rng.integers(1, 1046, 5225), queries, 5225, cutoffs)
    start = time.process_time()
    jackknife_intervals(values, queries // 5)
    bootstrap_intervals(values, queries // 5)
    assert time.process_time() - start < 2


# ---------------------------------------------------------------- undefined input


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([1.0, 0.0], [4, 4], "1 cluster of queries; expected at least 2: there is nothing to resample"),
        ([], [], "0 cluster of queries; expected at least 2: there is nothing to resample"),
        ([1.0, 0.0], [1, 2, 3], "R@1 is (2,), clusters are (3,); expected (Q,) for both"),
        ([1.0, float("nan")], [1, 2], "R@1 of query 1 is nan; expected a finite number"),
    ],
)
def test_nothing_to_resample_is_refused(values, clusters, message):
    for of in (jackknife_intervals, bootstrap_intervals):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            of({"R@1": np.array(values)}, np.array(clusters, int))


def test_clusters_that_are_no_whole_numbers_a_query_are_refused():
    message = r"^clusters are float64 \(2,\); expected integers \(Q,\), one for each query$"
    with pytest.raises(ValueError, match=message):
        jackknife_intervals({"R@1": np.ones(2)}, np.array([0.0, 1.0]))


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_0_to_1_is_refused(level):
    for of in (jackknife_intervals, bootstrap_intervals):
        with pytest.raises(ValueError, match=rf"^level is {level}; expected between 0 and 1, such as 0.95$"):
            of({"R@1": np.ones(2)}, np.arange(2), level=level)


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match=r"^resamples is 0; expected at least 1$"):
        bootstrap_intervals({"R@1": np.ones(2)}, np.arange(2), resamples=0)
