"""Bins of queries: nothing lost, nothing twice, and the numbers of a brute-force count."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metric_utils.breakdown import Bin, chance_by_rank, even_bins, rank_bins, scores_of
from utils.metric_utils.scores import MatrixScores


@pytest.mark.parametrize(
    ("last", "labels"),
    [
        (1, ["1"]),
        (3, ["1", "2–3"]),
        (5, ["1", "2–5"]),
        (6, ["1", "2–5", "6"]),
        (10, ["1", "2–5", "6–10"]),
        (200, ["1", "2–5", "6–10", "11–20", "21–50", "51–100", "101–200"]),
        (1045, ["1", "2–5", "6–10", "11–20", "21–50", "51–100", "101–200", "201–500", "501–1000", "1001–1045"]),
    ],
)
def test_bins_of_ranks_widen(last, labels):
    assert [b.label for b in rank_bins(last)] == labels


@given(st.integers(1, 10**6))
def test_every_rank_has_one_bin(last):
    bins = rank_bins(last)
    assert (bins[0].low, bins[-1].high) == (1, last)
    assert all(one.high + 1 == two.low and two.low <= two.high for one, two in pairwise(bins))


@pytest.mark.parametrize(
    ("values", "most", "bins"),
    [
        ([7], 3, [(7, 7)]),
        ([1, 2, 2, 9], 3, [(1, 1), (2, 2), (9, 9)]),
        ([1, 2, 3, 4, 5, 6], 3, [(1, 2), (3, 4), (5, 6)]),
        ([1, 1, 1, 1, 8, 9], 2, [(1, 1), (8, 9)]),
        ([5, 5, 5, 9, 12], 2, [(5, 5), (9, 12)]),
    ],
)
def test_even_bins_by_hand(values, most, bins):
    assert [tuple(b) for b in even_bins(np.array(values), most)] == bins


@given(st.lists(st.integers(0, 60), min_size=1, max_size=200), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_every_value_has_one_bin_and_every_bin_a_value(values, most):
    array = np.array(values)
    bins = even_bins(array, most)
    held = np.array([b.holds(array) for b in bins])
    assert (held.sum(axis=0) == 1).all()
    assert held.any(axis=1).all()
    assert len(bins) <= most
    assert all(b.low in values and b.high in values for b in bins)
    assert [b.low for b in bins] == sorted(b.low for b in bins)


def test_chance_by_rank_equals_shuffling():
    counts, n = np.array([1, 1, 2, 5]), 12
    bins = rank_bins(n)
    rng = np.random.default_rng(0)
    best = np.array([[rng.permutation(n)[:m].min() + 1 for m in counts] for _ in range(20_000)])
    drawn = [b.holds(best).sum() / 20_000 for b in bins]
    found = chance_by_rank(bins, counts, n)
    assert found == pytest.approx(drawn, abs=0.02)
    assert sum(found) == pytest.approx(len(counts))


def test_chance_of_one_relevant_item_is_the_width_of_the_bin():
    assert chance_by_rank([Bin(1, 1), Bin(2, 5), Bin(6, 10)], np.ones(40, np.int64), 10) == pytest.approx([4, 16, 20])


@pytest.mark.parametrize("block_bytes", [1, 200, 10**6])
def test_scores_of_pairs_whatever_the_blocks(block_bytes):
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((30, 7)).astype(np.float32)
    rows, columns = rng.integers(0, 30, 100), rng.integers(0, 7, 100)
    found = scores_of(MatrixScores(scores, block_bytes=block_bytes), rows, columns)
    np.testing.assert_array_equal(found, scores[rows, columns])
