import numpy as np
import pytest

from utils.metric_utils.captions.statistics import Statistics, differences, mean_of, metric_intervals, use_of_input
from utils.metric_utils.intervals import bootstrap_intervals


def ratio(values):
    """A metric that is no mean over clips: 2 * sum / sum."""
    return Statistics(np.asarray(values, np.float64), lambda sums: 2 * sums[..., 0] / sums[..., 1])


def test_values():
    assert mean_of(np.array([1.0, 2.0, 6.0])).value == 3
    assert ratio([[1, 2], [3, 2]]).value == 2


def test_the_interval_of_a_mean_is_that_of_the_other_metrics():
    values = np.random.default_rng(0).random(40)
    expected = bootstrap_intervals({"x": values}, np.arange(40), resamples=500, seed=3, level=0.9)
    found = metric_intervals({"x": mean_of(values)}, resamples=500, seed=3, level=0.9)
    assert found["x"] == pytest.approx(expected["x"], rel=1e-12)


def test_the_interval_of_a_ratio_of_sums_is_that_of_repeated_clips():
    rng = np.random.default_rng(1)
    values = rng.random((30, 2))
    low, high = metric_intervals({"x": ratio(values)}, resamples=4000, seed=0)["x"]
    drawn = values[rng.integers(0, 30, (4000, 30))].sum(axis=1)  # other draws
    expected = np.quantile(2 * drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    assert [low, high] == pytest.approx(expected, rel=0.02)


def test_a_constant_has_a_point():
    assert metric_intervals({"x": mean_of(np.full(20, 0.25))})["x"] == (0.25, 0.25)


def test_a_seed_draws_the_same_clips_for_all_metrics():
    values = np.random.default_rng(2).random(25)
    alone = metric_intervals({"x": mean_of(values)}, seed=7)["x"]
    beside = metric_intervals({"y": mean_of(values), "x": mean_of(values)}, seed=7)
    assert alone == beside["x"] == beside["y"]
    assert alone != metric_intervals({"x": mean_of(values)}, seed=8)["x"]


def test_differences_are_paired():
    # The systems differ by 0.1 at every clip: the difference is certain, though each value is not.
    values = np.random.default_rng(3).random(30)
    found = differences({"x": mean_of(values + 0.1)}, {"x": mean_of(values)})["x"]
    assert found == pytest.approx((0.1, 0.1, 0.1), rel=1e-9)
    assert differences({"x": mean_of(values)}, {"x": mean_of(values)})["x"] == (0, 0, 0)


def test_the_difference_of_a_ratio_is_that_of_both_values():
    rng = np.random.default_rng(4)
    a, b = ratio(rng.random((20, 2))), ratio(rng.random((20, 2)))
    value, low, high = differences({"x": a}, {"x": b})["x"]
    assert value == pytest.approx(a.value - b.value, rel=1e-12)
    assert low < value < high


def test_use_of_input():
    rng = np.random.default_rng(5)
    good, chance = rng.random(50) + 1, rng.random(50)
    value, low, high = use_of_input({"x": mean_of(good)}, {"x": mean_of(chance)})["x"]
    assert value == pytest.approx((good - chance).mean(), rel=1e-12)
    assert 0.5 < low < value < high < 1.5


def test_bad_statistics():
    two, three = mean_of(np.ones(2)), mean_of(np.ones(3))
    with pytest.raises(ValueError, match=r"metrics of different clips: .*2.*3"):
        metric_intervals({"x": two, "y": three})
    with pytest.raises(ValueError, match="1 cluster of queries; expected at least 2"):
        metric_intervals({"x": mean_of(np.ones(1))})
    with pytest.raises(ValueError, match="x, column 0 of query 1 is nan"):
        metric_intervals({"x": mean_of(np.array([1.0, np.nan]))})
    with pytest.raises(ValueError, match="the systems have 2 and 3 clips"):
        differences({"x": two}, {"x": three})
    with pytest.raises(ValueError, match="the metrics differ: x, y"):
        differences({"x": two}, {"y": two})
    with pytest.raises(ValueError, match="no clips"):
        _ = mean_of(np.empty(0)).value
