"""R@k, AP@k, hit@k and the median rank against their definitions."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.metric_utils.by_definition import (
    relevant_ranks,
    tasks,
)
from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.retrieval import (
    AUDIO_TO_TEXT,
    Cutoffs,
    average_precision_at_k,
    best_ranks,
    hit_at_k,
    recall_at_k,
    retrieval_metrics,
)


def test_metrics_by_hand():
    # Query 0: relevant at ranks 1, 3 and 20; query 1: at rank 12; query 2: at rank 2.
    ranks, query_index = np.array([20, 12, 1, 2, 3]), np.array([0, 1, 0, 2, 0])
    found = retrieval_metrics(ranks, query_index, 3, AUDIO_TO_TEXT)
    assert found == pytest.approx(
        {
            "R@1": (1 / 3 + 0 + 0) / 3,
            "R@5": (2 / 3 + 0 + 1) / 3,
            "R@10": (2 / 3 + 0 + 1) / 3,
            "mAP@10": ((1 + 2 / 3) / 3 + 0 + 1 / 2) / 3,
            "mAP@16": ((1 + 2 / 3) / 3 + 1 / 12 + 1 / 2) / 3,
            "median_rank": 2.0,
            "hit@1": 1 / 3,
            "hit@5": 2 / 3,
            "hit@10": 2 / 3,
        }
    )
    assert best_ranks(ranks, query_index, 3).tolist() == [1, 12, 2]
    assert all(type(value) is float for value in found.values())


def test_keys_are_those_of_the_field():
    one = np.array([1]), np.array([0]), 1
    assert list(retrieval_metrics(*one)) == ["R@1", "R@5", "R@10", "mAP@10", "mAP@16", "median_rank"]
    assert list(retrieval_metrics(*one, AUDIO_TO_TEXT))[6:] == ["hit@1", "hit@5", "hit@10"]
    chosen = Cutoffs(recall=(3,), average_precision=(), hit=(2,))
    assert list(retrieval_metrics(*one, chosen)) == ["R@3", "median_rank", "hit@2"]


def test_average_precision_divides_by_all_relevant_items():
    # 12 relevant items on the first 12 places: AP@10 is 10/12, neither 1 nor 10/10.
    ranks, query_index = np.arange(1, 13), np.zeros(12, int)
    assert average_precision_at_k(ranks, query_index, 1, 10).tolist() == [pytest.approx(10 / 12)]
    assert average_precision_at_k(ranks, query_index, 1, 16).tolist() == [1.0]


def test_five_captions_cap_recall_but_not_the_hit_rate():
    metrics = retrieval_metrics(np.arange(1, 6), np.zeros(5, int), 1, AUDIO_TO_TEXT)
    assert (metrics["R@1"], metrics["hit@1"], metrics["R@5"], metrics["mAP@10"]) == (0.2, 1.0, 1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(task=tasks(), k=st.integers(1, 12))
def test_raising_a_relevant_item_never_lowers_a_metric(task, k):
    scores, query_index, item_index = task
    raised = scores.copy()
    raised[query_index[0], item_index[0]] = 9.0  # above all others
    before, after = (relevant_ranks(s, query_index, item_index) for s in (scores, raised))
    for metric in (average_precision_at_k, recall_at_k, hit_at_k):
        low = metric(before, query_index, len(scores), k)
        high = metric(after, query_index, len(scores), k)
        assert (high >= low - 1e-12).all()
        assert ((low >= 0) & (high <= 1)).all()


@settings(max_examples=30, deadline=None)
@given(clips=st.integers(1, 30), captions=st.integers(1, 5))
def test_constant_scores_stay_at_chance(clips, captions):
    query_index = np.arange(clips * captions)
    scores = np.full((clips * captions, clips), 0.25, np.float32)
    ranks = relevant_ranks(scores, query_index, query_index // captions)
    found = retrieval_metrics(ranks, query_index, len(query_index))
    assert found == pytest.approx(chance_metrics(np.ones(len(query_index), int), clips), abs=1e-12)


@pytest.mark.parametrize(
    ("ranks", "query_index", "queries", "k", "message"),
    [
        ([1, 2], [0], 1, 1, "ranks are (2,), query_index is (1,); expected (R,) for both"),
        ([1], [0], 1, 0, "k is 0; expected at least 1"),
        ([0], [0], 1, 1, "a rank is 0; ranks start at 1"),
        ([1, 1], [0, 2], 3, 1, "query 1 has no relevant item"),
        ([1, 1], [0, 1], 1, 1, "query_index holds 1; expected 0 to 0"),
        ([], [], 0, 1, "no queries: the metrics are undefined"),
    ],
)
def test_undefined_metrics_are_refused(ranks, query_index, queries, k, message):
    given_ = np.array(ranks, int), np.array(query_index, int), queries
    for metric in (recall_at_k, average_precision_at_k, hit_at_k):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            metric(*given_, k)
