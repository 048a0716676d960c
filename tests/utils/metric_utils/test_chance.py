"""Chance in closed form, against enumeration and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.utils.metric_utils.by_definition import (
    AP_10_OF_ONE,
    pairs,
    relevant_ranks,
)
from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.retrieval import AUDIO_TO_TEXT, Cutoffs, retrieval_metrics


def test_chance_by_hand():
    found = chance_metrics(np.ones(7, int), 1045, AUDIO_TO_TEXT)
    assert found == pytest.approx(
        {
            "R@1": 1 / 1045,
            "R@5": 5 / 1045,
            "R@10": 10 / 1045,
            "mAP@10": AP_10_OF_ONE / 1045,
            "mAP@16": sum(1 / r for r in range(1, 17)) / 1045,
            "median_rank": 523.0,
            "hit@1": 1 / 1045,
            "hit@5": 5 / 1045,
            "hit@10": 10 / 1045,
        }
    )
    assert pytest.approx(2.929, abs=5e-4) == AP_10_OF_ONE
    assert chance_metrics(np.ones(1, int), 1044)["median_rank"] == 522.5
    assert chance_metrics(np.array([3]), 3)["mAP@10"] == pytest.approx(1.0)  # every order is perfect


@pytest.mark.parametrize("relevant", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("candidates", [1, 2, 6])
def test_chance_equals_the_enumeration_of_all_orders(candidates, relevant):
    if relevant > candidates:
        with pytest.raises(ValueError, match=f"query 0 has {relevant} relevant items; expected 1 to {candidates}"):
            chance_metrics(np.array([relevant]), candidates)
        return
    places = list(itertools.combinations(range(1, candidates + 1), relevant))
    query_index, ranks = pairs([list(p) for p in places])  # each set of places is a query
    cutoffs = Cutoffs(recall=(1, 2, 3, 10), average_precision=(1, 2, 3, 10), hit=(1, 2, 3, 10))
    expected = retrieval_metrics(ranks, query_index, len(places), cutoffs)
    found = chance_metrics(np.full(4, relevant), candidates, cutoffs)
    assert found == pytest.approx(expected, abs=1e-12)


def test_chance_of_unequal_numbers_of_relevant_items():
    # Queries with one and with two relevant items of 5, as often: every set of places in equal shares.
    one = [[p] for p in range(1, 6)] * 2
    two = [list(p) for p in itertools.combinations(range(1, 6), 2)]
    query_index, ranks = pairs(one + two)
    expected = retrieval_metrics(ranks, query_index, 20, AUDIO_TO_TEXT)
    assert chance_metrics(np.array([1, 2]), 5, AUDIO_TO_TEXT) == pytest.approx(expected, abs=1e-12)


def test_chance_agrees_with_a_simulation():
    rng = np.random.default_rng(6)
    relevant = [list(range(1 + q % 12)) for q in range(6000)]
    query_index, item_index = pairs(relevant)
    ranks = relevant_ranks(rng.random((6000, 40), dtype=np.float32), query_index, item_index)
    found = retrieval_metrics(ranks, query_index, 6000, AUDIO_TO_TEXT)
    counts = np.array([len(items) for items in relevant])
    expected = chance_metrics(counts, 40, AUDIO_TO_TEXT)
    assert found == pytest.approx(expected, abs=0.02)


def test_chance_of_a_large_collection_is_exact_and_quick():
    found = chance_metrics(np.full(20_000, 5), 100_000, AUDIO_TO_TEXT)
    assert found["hit@10"] == pytest.approx(1 - np.prod(1 - 10 / (100_000 - np.arange(5))), rel=1e-9)
    assert found["median_rank"] == pytest.approx(100_000 * (1 - 0.5 ** (1 / 5)), rel=1e-3)


def test_chance_without_queries_is_refused():
    with pytest.raises(ValueError, match=r"^no queries: chance is undefined$"):
        chance_metrics(np.array([], int), 5)
    with pytest.raises(ValueError, match=r"^query 1 has 0 relevant items; expected 1 to 5$"):
        chance_metrics(np.array([1, 0]), 5)
