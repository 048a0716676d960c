"""The ceiling of R@k and mAP@k by hand, and by trying every order of the items."""

import itertools

import numpy as np
import pytest

from utils.metric_utils.ceiling import ceiling_of_shared_queries, is_shared
from utils.metric_utils.retrieval import Cutoffs, retrieval_metrics

CUTOFFS = Cutoffs(recall=(1, 2), average_precision=(2, 10))


def test_two_clips_with_the_same_caption_by_hand():
    """Four queries; the first two have the same words: one of them is first at best, the other second."""
    found = ceiling_of_shared_queries(np.array([7, 7, 3, 5]), np.array([0, 1, 2, 1]), CUTOFFS)
    assert found == {"R@1": 0.75, "R@2": 1.0, "mAP@2": (1 + 1 / 2 + 1 + 1) / 4, "mAP@10": (1 + 1 / 2 + 1 + 1) / 4}


def test_three_clips_with_the_same_caption_by_hand():
    found = ceiling_of_shared_queries(np.zeros(3, np.int64), np.arange(3), CUTOFFS)
    assert found == pytest.approx({"R@1": 1 / 3, "R@2": 2 / 3, "mAP@2": 1.5 / 3, "mAP@10": (1 + 1 / 2 + 1 / 3) / 3})


def test_a_caption_that_a_clip_has_twice_costs_nothing():
    """Both of its queries seek the same clip; only another clip's query of these words is second."""
    texts, items = np.array([0, 0, 1]), np.array([4, 4, 4])
    assert set(ceiling_of_shared_queries(texts, items, CUTOFFS).values()) == {1.0}
    assert not is_shared(texts, items).any()
    assert ceiling_of_shared_queries(np.array([0, 0, 0]), np.array([4, 4, 2]), CUTOFFS)["R@1"] == 2 / 3


def test_which_captions_are_shared():
    shared = is_shared(np.array([9, 2, 9, 2, 5]), np.array([0, 1, 3, 1, 0]))
    assert shared.tolist() == [True, False, True, False, False]


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_the_items_exceeds_it(seed):
    """Every ranking of 4 items for each of 3 texts is tried; the best of each metric is the ceiling."""
    rng = np.random.default_rng(seed)
    texts, items = rng.integers(0, 3, 8), rng.integers(0, 4, 8)
    best: dict[str, float] = {}
    orders = list(itertools.permutations(range(4)))
    for text in range(3):  # texts do not disturb each other: the sums of their best are the best sum
        asked = np.flatnonzero(texts == text)
        sums: dict[str, float] = {}
        for order in orders if len(asked) else []:
            ranks = 1 + np.array([order.index(item) for item in items[asked]])
            found = retrieval_metrics(ranks, np.arange(len(asked)), len(asked), CUTOFFS)
            for key in ("R@1", "R@2", "mAP@2", "mAP@10"):
                sums[key] = max(sums.get(key, 0.0), found[key] * len(asked))
        for key, value in sums.items():
            best[key] = best.get(key, 0.0) + value / len(texts)
    assert ceiling_of_shared_queries(texts, items, CUTOFFS) == pytest.approx(best)
