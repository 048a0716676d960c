from __future__ import annotations

import itertools
import re
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.graded import chance_ndcg, ndcg_at_k
from utils.metric_utils.retrieval import Cutoffs, per_query_values, retrieval_metrics, summarise

GRADED = Cutoffs(recall=(1,), average_precision=(2,), hit=(1,), ndcg=(2, 10))


def test_ndcg_by_hand():
    # Query 0: gains 1, 3 and 2 at ranks 1, 3 and 20; query 1: one item at rank 3.
    ranks, query_index = np.array([20, 3, 1, 3]), np.array([0, 1, 0, 0])
    gains = np.array([2.0, 5.0, 1.0, 3.0])
    found = ndcg_at_k(ranks, query_index, 2, 10, gains)
    best = 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    assert found == pytest.approx([(1 / log2(2) + 3 / log2(4)) / best, 1 / log2(4)], abs=1e-15)
    at_2 = ndcg_at_k(ranks, query_index, 2, 2, gains)
    assert at_2 == pytest.approx([1 / (3 + 2 / log2(3)), 0.0], abs=1e-15)  # the best order is cut too


def test_without_gains_all_items_are_alike():
    ranks, query_index = np.array([2, 1, 4]), np.array([0, 1, 0])
    alike = ndcg_at_k(ranks, query_index, 2, 3, np.array([7.0, 3.0, 7.0]))
    found = ndcg_at_k(ranks, query_index, 2, 3)
    assert found == pytest.approx([(1 / log2(3)) / (1 + 1 / log2(3)), 1.0], abs=1e-15)
    assert alike == pytest.approx(found, abs=1e-15)


@st.composite
def graded_queries(draw):
    """Ranks and gains of one to six items of one to four queries among 12 candidates, in any order."""
    query_index, ranks, gains = [], [], []
    for query in range(draw(st.integers(1, 4))):
        mine = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6, unique=True))
        ranks += mine
        gains += draw(st.lists(st.sampled_from([0.1, 0.5, 1.0, 3.0]), min_size=len(mine), max_size=len(mine)))
        query_index += [query] * len(mine)
    order = np.array(draw(st.permutations(range(len(ranks)))))
    return np.array(ranks)[order], np.array(query_index)[order], np.array(gains)[order]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(task=graded_queries(), k=st.integers(1, 14), scale=st.floats(0.01, 1000))
def test_ndcg_lies_in_0_to_1_and_no_scale_changes_it(task, k, scale):
    ranks, query_index, gains = task
    queries = query_index.max() + 1
    found = ndcg_at_k(ranks, query_index, queries, k, gains)
    assert ((found >= 0) & (found <= 1)).all()
    assert ndcg_at_k(ranks, query_index, queries, k, gains * scale) == pytest.approx(found, abs=1e-12)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(task=graded_queries(), k=st.integers(1, 14))
def test_the_best_order_scores_exactly_1(task, k):
    _, query_index, gains = task
    queries = query_index.max() + 1
    best = np.empty(len(gains), int)
    for query in range(queries):
        mine = np.flatnonzero(query_index == query)
        best[mine[np.argsort(-gains[mine], kind="stable")]] = np.arange(1, len(mine) + 1)
    assert (ndcg_at_k(best, query_index, queries, k, gains) == 1).all()


def test_rounding_does_not_lift_ndcg_above_1():
    larger = np.nextafter(1, 2)  # sums of gains this close round to more in another order than in the best one
    gains = np.array([larger, 1, 1, larger, 1, 1])
    assert ndcg_at_k(np.array([5, 4, 6, 1, 2, 3]), np.zeros(6, int), 1, 10, gains).tolist() == [1.0]


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_chance_of_ndcg_equals_the_enumeration_of_all_orders(k):
    gains = [3.0, 1.0, 0.5]
    orders = list(itertools.permutations(range(1, 6), 3))  # ranks of three items of five
    ranks = np.array([rank for order in orders for rank in order])
    query_index = np.repeat(np.arange(len(orders)), 3)
    cutoffs = Cutoffs(recall=(), average_precision=(), ndcg=(k,))
    expected = retrieval_metrics(ranks, query_index, len(orders), cutoffs, np.tile(gains, len(orders)))
    # Two such queries, their pairs in any order.
    shuffled = np.array([0, 1, 1, 0, 0, 1]), np.array([1.0, 3.0, 0.5, 3.0, 0.5, 1.0])
    found = chance_metrics(np.array([3, 3]), 5, cutoffs, shuffled[1], shuffled[0])
    assert found[f"nDCG@{k}"] == pytest.approx(expected[f"nDCG@{k}"], abs=1e-12)


def test_chance_of_ndcg_with_unequal_numbers_of_relevant_items():
    cutoffs = Cutoffs(recall=(), average_precision=(), ndcg=(1, 2))
    found = chance_metrics(np.array([1, 2]), 4, cutoffs)
    assert found["nDCG@1"] == pytest.approx((1 / 4 + 2 / 4) / 2)
    both = 1 + 1 / log2(3)
    assert found["nDCG@2"] == pytest.approx((both / 4 + 2 / 4) / 2)


def test_values_of_each_query_have_the_keys_and_means_of_the_metrics():
    ranks, query_index = np.array([20, 12, 1, 2, 3]), np.array([0, 1, 0, 2, 0])
    gains = np.array([1.0, 1.0, 2.0, 1.0, 3.0])
    values = per_query_values(ranks, query_index, 3, GRADED, gains)
    metrics = retrieval_metrics(ranks, query_index, 3, GRADED, gains)
    assert list(values) == list(metrics) == ["R@1", "mAP@2", "nDCG@2", "nDCG@10", "median_rank", "hit@1"]
    assert list(chance_metrics(np.array([3, 1, 1]), 20, GRADED)) == list(values)
    assert values["median_rank"].tolist() == [1.0, 12.0, 2.0]
    assert values["mAP@2"] == pytest.approx([1 / 3, 0, 1 / 2])
    for key, value in values.items():
        assert value.shape == (3,)
        assert value.dtype == np.float64
        assert metrics[key] == pytest.approx(2.0 if key == "median_rank" else value.mean())
    assert summarise(values) == metrics


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        ([1.0], "gains are (1,), the relevant pairs are (2,); expected one gain a pair"),
        ([1.0, 0.0], "the gain of pair 1 is 0; expected above 0: leave out what has none"),
        ([-1.0, 1.0], "the gain of pair 0 is -1; expected above 0: leave out what has none"),
        ([1.0, float("nan")], "the gain of pair 1 is nan; expected above 0: leave out what has none"),
        ([float("inf"), 1.0], "the gain of pair 0 is inf; expected above 0: leave out what has none"),
    ],
)
def test_gains_without_meaning_are_refused(gains, message):
    pairs = np.array([1, 2]), np.array([0, 0])
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ndcg_at_k(*pairs, 1, 10, np.array(gains))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        chance_ndcg(pairs[1], 1, 10, 5, np.array(gains))


def test_undefined_ndcg_is_refused():
    with pytest.raises(ValueError, match=r"^query 1 has no relevant item$"):
        ndcg_at_k(np.array([1, 1]), np.array([0, 2]), 3, 10)
    with pytest.raises(ValueError, match=r"^k is 0; expected at least 1$"):
        ndcg_at_k(np.array([1]), np.array([0]), 1, 0)


@pytest.mark.parametrize("query_index", [None, np.array([0, 1, 1]), np.array([0, 0])])
def test_chance_refuses_gains_that_do_not_match_the_queries(query_index):
    message = "query_index does not have relevant_counts entries for each query, which gains need"
    with pytest.raises(ValueError, match=f"^{message}$"):
        chance_metrics(np.array([2, 1]), 5, GRADED, np.ones(3), query_index)
