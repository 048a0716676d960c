"""Exact search in blocks, rescored lists, and recall."""

import numpy as np
import pytest

from utils.metric_utils.nearest import NO_ROW, recall_of_lists, rescored, top_k_in_blocks
from utils.metric_utils.ranking import top_k
from utils.metric_utils.scores import EmbeddingScores


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_blocks_give_the_lists_of_one_piece(similarity, rows, tmp_path):
    rng = np.random.default_rng(0)
    queries, candidates = (rng.integers(-2, 3, (n, 5)).astype(np.float32) for n in (9, 60))  # full of ties
    if similarity == "cosine":  # which rounds, and so breaks ties of candidates that are not equal
        candidates = rng.standard_normal((60, 5), dtype=np.float32)
    np.save(tmp_path / "c.npy", candidates)
    mapped = np.load(tmp_path / "c.npy", mmap_mode="r")
    found, scores = top_k_in_blocks(queries, mapped, 8, similarity, block_bytes=rows * 20)
    best, values = top_k(EmbeddingScores(queries, candidates, similarity=similarity), 8)
    np.testing.assert_array_equal(found, best)
    np.testing.assert_allclose(scores, values, rtol=1e-6)
    assert top_k_in_blocks(queries, mapped, 99, similarity)[0].shape == (9, 60)


def test_lists_are_ordered_by_exact_scores_equal_ones_by_row():
    candidates = np.array([[1, 0], [0, 2], [3, 0], [1, 0]], np.float32)
    rows = np.array([[3, 2, 1, 0], [2, NO_ROW, NO_ROW, NO_ROW]])
    index, scores = rescored(np.array([[1, 0], [1, 1]], np.float32), rows, candidates, 3)
    np.testing.assert_array_equal(index, [[2, 0, 3], [2, NO_ROW, NO_ROW]])
    np.testing.assert_array_equal(scores, [[3, 1, 1], [3, -np.inf, -np.inf]])
    _, cosines = rescored(np.array([[2, 0], [1, 1]], np.float32), rows, candidates, 3, "cosine")
    np.testing.assert_allclose(cosines[0], [1, 1, 1])


def test_recall_by_hand():
    exact = np.array([[1, 2], [3, 4]])
    assert recall_of_lists(np.array([[2, 1], [4, 9]]), exact) == 0.75
    assert recall_of_lists(exact, exact) == 1
