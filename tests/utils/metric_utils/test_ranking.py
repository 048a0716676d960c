"""Ranks of scores, in blocks of any size: as sorting each row would give them."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.metric_utils.by_definition import (
    metrics_by_definition,
    pairs,
    ranks_by_definition,
    relevant_ranks,
    tasks,
)
from utils.metric_utils.ranking import Relevance, rank_and_top_k, ranks_of_relevant, top_k
from utils.metric_utils.retrieval import AUDIO_TO_TEXT, retrieval_metrics
from utils.metric_utils.scores import EmbeddingScores, MatrixScores, NonFiniteEmbeddingError, NonFiniteScoreError


def test_ranks_by_hand():
    scores = np.array([[0.1, 0.9, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]], np.float32)
    ranks = relevant_ranks(scores, np.array([1, 0, 0, 0, 1]), np.array([3, 3, 0, 2, 0]))
    assert ranks.tolist() == [4, 3, 4, 2, 1]
    assert ranks.dtype == np.int64


@settings(max_examples=100, deadline=None)
@given(task=tasks(), dtype=st.sampled_from([np.float16, np.float32, np.float64]))
def test_ranks_and_metrics_equal_their_definitions_with_ties(task, dtype):
    scores, query_index, item_index = task
    ranks = relevant_ranks(scores.astype(dtype), query_index, item_index)
    assert ranks.tolist() == ranks_by_definition(scores, query_index, item_index)
    found = retrieval_metrics(ranks, query_index, len(scores), AUDIO_TO_TEXT)
    assert found == pytest.approx(metrics_by_definition(ranks, query_index, len(scores)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(task=tasks(), k=st.integers(0, 12))
def test_top_k_is_stable_and_agrees_with_the_ranks(task, k):
    scores, query_index, item_index = task
    index, best = top_k(MatrixScores(scores), k)
    order = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))[:k] for row in scores.tolist()]
    assert index.tolist() == order
    assert np.array_equal(best, np.take_along_axis(scores, index, axis=1))
    relevance = Relevance(query_index, item_index, *scores.shape)
    ranking = rank_and_top_k(MatrixScores(scores), relevance, k)
    assert ranking.top_index.tolist() == order
    assert np.array_equal(ranking.top_scores, best)
    assert ranking.ranks.tolist() == ranks_by_definition(scores, query_index, item_index)


@settings(max_examples=60, deadline=None)
@given(task=tasks(), block_bytes=st.integers(1, 400), chunk=st.integers(1, 40))
def test_blocks_of_any_size_give_the_same_numbers(task, block_bytes, chunk):
    scores, query_index, item_index = task
    relevance = Relevance(query_index, item_index, *scores.shape)
    whole = rank_and_top_k(MatrixScores(scores), relevance, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.metric_utils.ranking._CHUNK_SCORES", chunk)
        parts = rank_and_top_k(MatrixScores(scores, block_bytes=block_bytes), relevance, 3)
    assert np.array_equal(parts.ranks, whole.ranks)
    assert np.array_equal(parts.top_index, whole.top_index)
    assert np.array_equal(parts.top_scores, whole.top_scores)


@settings(max_examples=40, deadline=None)
@given(task=tasks(ties=False), seed=st.integers(0, 2**16))
def test_order_of_the_candidates_changes_nothing_without_ties(task, seed):
    scores, query_index, item_index = task
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    shuffled = relevant_ranks(scores[:, order], query_index, np.argsort(order)[item_index])
    assert np.array_equal(shuffled, relevant_ranks(scores, query_index, item_index))


def test_many_queries_with_unequal_numbers_of_relevant_items():
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 50, (300, 80)).astype(np.float32)
    relevant = [rng.choice(80, rng.integers(1, 13), replace=False).tolist() for _ in range(300)]
    query_index, item_index = pairs(relevant)
    ranks = relevant_ranks(scores, query_index, item_index)
    assert ranks.tolist() == ranks_by_definition(scores, query_index, item_index)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("queries", [1, 2, 16, 17, 40])
def test_embedding_blocks_are_the_matrix_product(similarity, queries):
    rng = np.random.default_rng(2)
    q, c = rng.standard_normal((queries, 5)), rng.standard_normal((9, 5))
    source = EmbeddingScores(q, c, similarity=similarity, block_bytes=1)
    found = np.concatenate([block.copy() for _, block in source.blocks()])
    assert [start for start, _ in source.blocks()] == list(range(0, queries, 16))
    norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(c, axis=1)
    expected = q @ c.T if similarity == "dot" else q @ c.T / norms
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert found.dtype == np.float32
    assert source.shape == (queries, 9)


def test_blocks_of_embeddings_of_any_size_give_the_same_numbers():
    rng = np.random.default_rng(3)
    q = rng.standard_normal((70, 30), dtype=np.float32)
    c = rng.standard_normal((43, 30), dtype=np.float32)
    relevance = Relevance(np.arange(70), np.arange(70) % 43, 70, 43)
    sizes = [1, 17 * 43 * 4, 23 * 43 * 4, 2**25]
    rankings = [rank_and_top_k(EmbeddingScores(q, c, block_bytes=size), relevance, 5) for size in sizes]
    for other in rankings[1:]:
        assert np.array_equal(other.ranks, rankings[0].ranks)
        assert np.array_equal(other.top_index, rankings[0].top_index)


@pytest.mark.parametrize("queries", [1, 2, 3, 17, 50])
def test_equal_embeddings_tie_exactly(queries):
    """A collapsed model stays at chance: rounding must not order its equal candidates."""
    rng = np.random.default_rng(4)
    q = rng.standard_normal((queries, 300), dtype=np.float32)
    c = np.tile(rng.standard_normal((1, 300), dtype=np.float32), (1045, 1))
    items = np.arange(queries) * 20
    source = EmbeddingScores(q, c, block_bytes=1)
    assert ranks_of_relevant(source, np.arange(queries), items).tolist() == (items + 1).tolist()
    assert (top_k(source, 7)[0] == np.arange(7)).all()


def test_read_only_and_transposed_matrices_are_read(tmp_path):
    scores = np.random.default_rng(5).standard_normal((12, 8)).astype(np.float32)
    np.save(tmp_path / "scores.npy", scores)
    on_disk = np.load(tmp_path / "scores.npy", mmap_mode="r")
    index = np.arange(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relevance = Relevance(np.arange(12), np.arange(12) % 8, 12, 8)
        ranking = rank_and_top_k(MatrixScores(on_disk), relevance, 3)
        transposed = relevant_ranks(on_disk.T, index, index)
    assert ranking.ranks.tolist() == ranks_by_definition(scores, np.arange(12), np.arange(12) % 8)
    assert transposed.tolist() == ranks_by_definition(scores.T, index, index)


def test_whole_numbers_beyond_float32_keep_their_order():
    scores = np.array([[2**25, 2**25 + 1]])
    assert relevant_ranks(scores, np.array([0]), np.array([0])).tolist() == [2]


class BrokenSource:
    shape = (4, 3)

    def __init__(self, *blocks):
        self._blocks = blocks

    def blocks(self):
        yield from self._blocks


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([(0, np.zeros((2, 3)))], "the blocks hold 2 queries; expected 4"),
        ([(0, np.zeros((2, 3))), (3, np.zeros((1, 3)))], "block (1, 3) at query 3; expected (q, 3) at query 2"),
        ([(0, np.zeros((4, 2)))], "block (4, 2) at query 0; expected (q, 3) at query 0"),
    ],
)
def test_a_source_that_skips_queries_is_refused(blocks, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        top_k(BrokenSource(*blocks), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_a_score_that_is_not_finite_is_refused_with_its_place(value, block_bytes):
    scores = np.zeros((6, 4), np.float32)
    scores[4, 2] = value
    message = f"^the score of query 4 and candidate 2 is {value}$"
    with pytest.raises(NonFiniteScoreError, match=message) as error:
        ranks_of_relevant(MatrixScores(scores, block_bytes=block_bytes), np.arange(6), np.zeros(6, int))
    assert (error.value.query, error.value.candidate) == (4, 2)
    assert str(error.value.value) == str(value)
    with pytest.raises(ValueError, match=message):
        top_k(MatrixScores(scores, block_bytes=block_bytes), 1)


def test_finite_scores_whose_sum_overflows_are_read():
    scores = np.full((2, 4), 3e38, np.float32)
    assert relevant_ranks(scores, np.arange(2), np.arange(2)).tolist() == [1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite_is_refused_with_its_place(value):
    good, bad = np.ones((4, 3), np.float32), np.ones((4, 3), np.float32)
    bad[2, 1] = value
    for side, given_ in (("query", (bad, good)), ("candidate", (good, bad))):
        with pytest.raises(NonFiniteEmbeddingError, match=f"^the embedding of {side} 2 holds {value}$") as error:
            EmbeddingScores(*given_)
        assert (error.value.side, error.value.row) == (side, 2)


def test_embeddings_whose_product_overflows_are_refused_as_scores():
    large = np.full((2, 3), 1e30, np.float32)
    with pytest.raises(NonFiniteScoreError, match=r"^the score of query 0 and candidate 0 is inf$"):
        ranks_of_relevant(EmbeddingScores(large, large), np.arange(2), np.arange(2))


def test_shapes_of_scores_and_embeddings_are_checked():
    with pytest.raises(ValueError, match=r"^queries are \(2, 3\), candidates are \(2, 4\); expected \(Q, E\) and"):
        EmbeddingScores(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"^2 queries and 0 candidates; expected at least one of each$"):
        EmbeddingScores(np.zeros((2, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"^0 queries and 3 candidates; expected at least one of each$"):
        MatrixScores(np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"^scores are \(3,\); expected \(Q, C\)$"):
        MatrixScores(np.zeros(3))
    with pytest.raises(ValueError, match=r"^similarity is 'cosin'; choices: dot, cosine$"):
        EmbeddingScores(np.zeros((2, 3)), np.zeros((2, 3)), similarity="cosin")


@pytest.mark.parametrize(
    ("query_index", "item_index", "message"),
    [
        ([0, 2], [0, 1], "query 1 has no relevant item"),
        ([0, 1], [0, 1], "query 2 has no relevant item"),
        ([0, 1, 2, 1], [0, 3, 1, 3], "query 1 has relevant item 3 twice"),
        ([0, 1, 3], [0, 1, 2], "query_index[2] is 3; expected 0 to 2"),
        ([0, 1, 2], [0, 1, 4], "item_index[2] is 4; expected 0 to 3"),
        ([0, 1, 2], [0, -1, 2], "item_index[1] is -1; expected 0 to 3"),
        ([0, 1, 2], [0, 1], "3 query indices and 2 item indices; expected one of each for a pair"),
        ([], [], "query_index is float64 (0,); expected integers (R,), R >= 1"),
        ([0.0, 1.0, 2.0], [0, 1, 2], "query_index is float64 (3,); expected integers (R,), R >= 1"),
    ],
)
def test_undefined_pairs_are_refused(query_index, item_index, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        relevant_ranks(np.zeros((3, 4)), np.array(query_index), np.array(item_index))


def test_pairs_of_other_scores_and_a_negative_k_are_refused():
    relevance = Relevance(np.arange(3), np.arange(3), 3, 3)
    message = r"^the scores are \(3, 4\), the relevant pairs are of \(3, 3\)$"
    with pytest.raises(ValueError, match=message):
        rank_and_top_k(MatrixScores(np.zeros((3, 4))), relevance, 1)
    with pytest.raises(ValueError, match=r"^k is -1; expected 0 or more candidates$"):
        top_k(MatrixScores(np.zeros((3, 4))), -1)


def test_memory_does_not_grow_with_queries_times_candidates():
    script = """
import numpy as np
from utils.process_utils import peak_memory
from utils.metric_utils.ranking import Relevance, rank_and_top_k
from utils.metric_utils.scores import EmbeddingScores
embeddings = np.random.default_rng(0).standard_normal((12000, 4), dtype=np.float32)
def run(n):
    index = np.arange(n)
    relevance = Relevance(index, index, n, n)
    rank_and_top_k(EmbeddingScores(embeddings[:n], embeddings[:n], block_bytes=2**22), relevance, 10)
    return peak_memory()
run(2000)
print(run(12000) - run(2000))
"""
    root = Path(__file__).parents[3]
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert float(process.stdout) < 60e6  # the matrix has 576 MB


@pytest.mark.parametrize(
    "error", [NonFiniteScoreError(3, 4, float("inf")), NonFiniteEmbeddingError("query", 2, float("-inf"))]
)
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), vars(again)) == (str(error), vars(error))
