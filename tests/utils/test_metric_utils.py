from __future__ import annotations

import itertools
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
from hypothesis.extra import numpy as hnp

from utils import metric_utils as mu

AP_10_OF_ONE = sum(1 / r for r in range(1, 11))  # 2.929: times 1/N it is chance with one relevant item


def pairs(relevant: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """COO pairs of the relevant items of each query."""
    query = [q for q, items in enumerate(relevant) for _ in items]
    return np.array(query), np.array([item for items in relevant for item in items])


def ranks_by_definition(scores, query_index, item_index):
    """Sort each row: higher scores first, equal ones by index."""
    ranks = []
    for query, item in zip(query_index, item_index, strict=True):
        row = scores[query].tolist()
        order = sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))
        ranks.append(order.index(item) + 1)
    return ranks


def metrics_by_definition(ranks, query_index, number_of_queries):
    """R@k, AP@k, hit@k and best rank, one query at a time, from a list of flags in rank order."""
    values = []
    for query in range(number_of_queries):
        mine = sorted(int(r) for r, q in zip(ranks, query_index, strict=True) if q == query)
        flags = [rank in mine for rank in range(1, mine[-1] + 20)]
        value = {"median_rank": mine[0]}
        for k in (1, 5, 10):
            value[f"R@{k}"] = sum(flags[:k]) / len(mine)
            value[f"hit@{k}"] = float(any(flags[:k]))
        for k in (10, 16):
            precisions = [sum(flags[: r + 1]) / (r + 1) for r in range(k) if flags[r]]
            value[f"mAP@{k}"] = sum(precisions) / len(mine)
        values.append(value)
    means = {key: float(np.mean([v[key] for v in values])) for key in values[0]}
    return {**means, "median_rank": float(np.median([v["median_rank"] for v in values]))}


@st.composite
def tasks(draw, ties=True):
    """A score matrix and relevant pairs in any order, one to all candidates a query."""
    queries, candidates = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    if ties:
        values = st.sampled_from([-1.0, -0.0, 0.0, 0.5, 1.0])
        scores = draw(hnp.arrays(np.float32, (queries, candidates), elements=values))
    else:
        order = draw(st.permutations(range(queries * candidates)))
        scores = np.array(order, np.float32).reshape(queries, candidates)
    item = st.integers(0, candidates - 1)
    relevant = [sorted(draw(st.sets(item, min_size=1))) for _ in range(queries)]
    query_index, item_index = pairs(relevant)
    shuffle = np.array(draw(st.permutations(range(len(query_index)))))
    return scores, query_index[shuffle], item_index[shuffle]


# ---------------------------------------------------------------- ranks


def relevant_ranks(scores, query_index, item_index):
    return mu.evaluate(mu.MatrixScores(scores), query_index, item_index)


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
    found = mu.retrieval_metrics(ranks, query_index, len(scores), mu.AUDIO_TO_TEXT)
    assert found == pytest.approx(metrics_by_definition(ranks, query_index, len(scores)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(task=tasks(), k=st.integers(0, 12))
def test_top_k_is_stable_and_agrees_with_the_ranks(task, k):
    scores, query_index, item_index = task
    index, best = mu.top_k(mu.MatrixScores(scores), k)
    order = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))[:k] for row in scores.tolist()]
    assert index.tolist() == order
    assert np.array_equal(best, np.take_along_axis(scores, index, axis=1))
    relevance = mu.Relevance(query_index, item_index, *scores.shape)
    ranking = mu.rank_and_top_k(mu.MatrixScores(scores), relevance, k)
    assert ranking.top_index.tolist() == order
    assert np.array_equal(ranking.top_scores, best)
    assert ranking.ranks.tolist() == ranks_by_definition(scores, query_index, item_index)


@settings(max_examples=60, deadline=None)
@given(task=tasks(), block_bytes=st.integers(1, 400), chunk=st.integers(1, 40))
def test_blocks_of_any_size_give_the_same_numbers(task, block_bytes, chunk):
    scores, query_index, item_index = task
    relevance = mu.Relevance(query_index, item_index, *scores.shape)
    whole = mu.rank_and_top_k(mu.MatrixScores(scores), relevance, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.metric_utils.ranking._CHUNK_SCORES", chunk)
        parts = mu.rank_and_top_k(mu.MatrixScores(scores, block_bytes=block_bytes), relevance, 3)
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


# ---------------------------------------------------------------- where scores come from


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("queries", [1, 2, 16, 17, 40])
def test_embedding_blocks_are_the_matrix_product(similarity, queries):
    rng = np.random.default_rng(2)
    q, c = rng.standard_normal((queries, 5)), rng.standard_normal((9, 5))
    source = mu.EmbeddingScores(q, c, similarity=similarity, block_bytes=1)
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
    relevance = mu.Relevance(np.arange(70), np.arange(70) % 43, 70, 43)
    sizes = [1, 17 * 43 * 4, 23 * 43 * 4, 2**25]
    rankings = [mu.rank_and_top_k(mu.EmbeddingScores(q, c, block_bytes=size), relevance, 5) for size in sizes]
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
    source = mu.EmbeddingScores(q, c, block_bytes=1)
    assert mu.evaluate(source, np.arange(queries), items).tolist() == (items + 1).tolist()
    assert (mu.top_k(source, 7)[0] == np.arange(7)).all()


def test_read_only_and_transposed_matrices_are_read(tmp_path):
    scores = np.random.default_rng(5).standard_normal((12, 8)).astype(np.float32)
    np.save(tmp_path / "scores.npy", scores)
    on_disk = np.load(tmp_path / "scores.npy", mmap_mode="r")
    index = np.arange(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relevance = mu.Relevance(np.arange(12), np.arange(12) % 8, 12, 8)
        ranking = mu.rank_and_top_k(mu.MatrixScores(on_disk), relevance, 3)
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
        mu.top_k(BrokenSource(*blocks), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("block_bytes", [1, 2**20])
def test_a_score_that_is_not_finite_is_refused_with_its_place(value, block_bytes):
    scores = np.zeros((6, 4), np.float32)
    scores[4, 2] = value
    message = f"^the score of query 4 and candidate 2 is {value}$"
    with pytest.raises(mu.NonFiniteScoreError, match=message) as error:
        mu.evaluate(mu.MatrixScores(scores, block_bytes=block_bytes), np.arange(6), np.zeros(6, int))
    assert (error.value.query, error.value.candidate) == (4, 2)
    assert str(error.value.value) == str(value)
    with pytest.raises(ValueError, match=message):
        mu.top_k(mu.MatrixScores(scores, block_bytes=block_bytes), 1)


def test_finite_scores_whose_sum_overflows_are_read():
    scores = np.full((2, 4), 3e38, np.float32)
    assert relevant_ranks(scores, np.arange(2), np.arange(2)).tolist() == [1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_embedding_that_is_not_finite_is_refused_with_its_place(value):
    good, bad = np.ones((4, 3), np.float32), np.ones((4, 3), np.float32)
    bad[2, 1] = value
    for side, given_ in (("query", (bad, good)), ("candidate", (good, bad))):
        with pytest.raises(mu.NonFiniteEmbeddingError, match=f"^the embedding of {side} 2 holds {value}$") as error:
            mu.EmbeddingScores(*given_)
        assert (error.value.side, error.value.row) == (side, 2)


def test_embeddings_whose_product_overflows_are_refused_as_scores():
    large = np.full((2, 3), 1e30, np.float32)
    with pytest.raises(mu.NonFiniteScoreError, match=r"^the score of query 0 and candidate 0 is inf$"):
        mu.evaluate(mu.EmbeddingScores(large, large), np.arange(2), np.arange(2))


def test_shapes_of_scores_and_embeddings_are_checked():
    with pytest.raises(ValueError, match=r"^queries are \(2, 3\), candidates are \(2, 4\); expected \(Q, E\) and"):
        mu.EmbeddingScores(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"^2 queries and 0 candidates; expected at least one of each$"):
        mu.EmbeddingScores(np.zeros((2, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"^0 queries and 3 candidates; expected at least one of each$"):
        mu.MatrixScores(np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"^scores are \(3,\); expected \(Q, C\)$"):
        mu.MatrixScores(np.zeros(3))
    with pytest.raises(ValueError, match=r"^similarity is 'cosin'; choices: dot, cosine$"):
        mu.EmbeddingScores(np.zeros((2, 3)), np.zeros((2, 3)), similarity="cosin")


# ---------------------------------------------------------------- relevant pairs


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
    relevance = mu.Relevance(np.arange(3), np.arange(3), 3, 3)
    message = r"^the scores are \(3, 4\), the relevant pairs are of \(3, 3\)$"
    with pytest.raises(ValueError, match=message):
        mu.rank_and_top_k(mu.MatrixScores(np.zeros((3, 4))), relevance, 1)
    with pytest.raises(ValueError, match=r"^k is -1; expected 0 or more candidates to keep$"):
        mu.top_k(mu.MatrixScores(np.zeros((3, 4))), -1)


# ---------------------------------------------------------------- metrics


def test_metrics_by_hand():
    # Query 0: relevant at ranks 1, 3 and 20; query 1: at rank 12; query 2: at rank 2.
    ranks, query_index = np.array([20, 12, 1, 2, 3]), np.array([0, 1, 0, 2, 0])
    found = mu.retrieval_metrics(ranks, query_index, 3, mu.AUDIO_TO_TEXT)
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
    assert mu.best_ranks(ranks, query_index, 3).tolist() == [1, 12, 2]
    assert all(type(value) is float for value in found.values())


def test_keys_are_those_of_the_field():
    one = np.array([1]), np.array([0]), 1
    assert list(mu.retrieval_metrics(*one)) == ["R@1", "R@5", "R@10", "mAP@10", "mAP@16", "median_rank"]
    assert list(mu.retrieval_metrics(*one, mu.AUDIO_TO_TEXT))[6:] == ["hit@1", "hit@5", "hit@10"]
    chosen = mu.Cutoffs(recall=(3,), average_precision=(), hit=(2,))
    assert list(mu.retrieval_metrics(*one, chosen)) == ["R@3", "median_rank", "hit@2"]


def test_average_precision_divides_by_all_relevant_items():
    # 12 relevant items on the first 12 places: AP@10 is 10/12, neither 1 nor 10/10.
    ranks, query_index = np.arange(1, 13), np.zeros(12, int)
    assert mu.average_precision_at_k(ranks, query_index, 1, 10).tolist() == [pytest.approx(10 / 12)]
    assert mu.average_precision_at_k(ranks, query_index, 1, 16).tolist() == [1.0]


def test_five_captions_cap_recall_but_not_the_hit_rate():
    metrics = mu.retrieval_metrics(np.arange(1, 6), np.zeros(5, int), 1, mu.AUDIO_TO_TEXT)
    assert (metrics["R@1"], metrics["hit@1"], metrics["R@5"], metrics["mAP@10"]) == (0.2, 1.0, 1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(task=tasks(), k=st.integers(1, 12))
def test_raising_a_relevant_item_never_lowers_a_metric(task, k):
    scores, query_index, item_index = task
    raised = scores.copy()
    raised[query_index[0], item_index[0]] = 9.0  # above all others
    before, after = (relevant_ranks(s, query_index, item_index) for s in (scores, raised))
    for metric in (mu.average_precision_at_k, mu.recall_at_k, mu.hit_at_k):
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
    found = mu.retrieval_metrics(ranks, query_index, len(query_index))
    assert found == pytest.approx(mu.chance_metrics(np.ones(len(query_index), int), clips), abs=1e-12)


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
    for metric in (mu.recall_at_k, mu.average_precision_at_k, mu.hit_at_k):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            metric(*given_, k)


# ---------------------------------------------------------------- chance


def test_chance_by_hand():
    found = mu.chance_metrics(np.ones(7, int), 1045, mu.AUDIO_TO_TEXT)
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
    assert mu.chance_metrics(np.ones(1, int), 1044)["median_rank"] == 522.5
    assert mu.chance_metrics(np.array([3]), 3)["mAP@10"] == pytest.approx(1.0)  # every order is perfect


@pytest.mark.parametrize("relevant", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("candidates", [1, 2, 6])
def test_chance_equals_the_enumeration_of_all_orders(candidates, relevant):
    if relevant > candidates:
        with pytest.raises(ValueError, match=f"query 0 has {relevant} relevant items; expected 1 to {candidates}"):
            mu.chance_metrics(np.array([relevant]), candidates)
        return
    places = list(itertools.combinations(range(1, candidates + 1), relevant))
    query_index, ranks = pairs([list(p) for p in places])  # each set of places is a query
    cutoffs = mu.Cutoffs(recall=(1, 2, 3, 10), average_precision=(1, 2, 3, 10), hit=(1, 2, 3, 10))
    expected = mu.retrieval_metrics(ranks, query_index, len(places), cutoffs)
    found = mu.chance_metrics(np.full(4, relevant), candidates, cutoffs)
    assert found == pytest.approx(expected, abs=1e-12)


def test_chance_of_unequal_numbers_of_relevant_items():
    # Queries with one and with two relevant items of 5, as often: every set of places in equal shares.
    one = [[p] for p in range(1, 6)] * 2
    two = [list(p) for p in itertools.combinations(range(1, 6), 2)]
    query_index, ranks = pairs(one + two)
    expected = mu.retrieval_metrics(ranks, query_index, 20, mu.AUDIO_TO_TEXT)
    assert mu.chance_metrics(np.array([1, 2]), 5, mu.AUDIO_TO_TEXT) == pytest.approx(expected, abs=1e-12)


def test_chance_agrees_with_a_simulation():
    rng = np.random.default_rng(6)
    relevant = [list(range(1 + q % 12)) for q in range(6000)]
    query_index, item_index = pairs(relevant)
    ranks = relevant_ranks(rng.random((6000, 40), dtype=np.float32), query_index, item_index)
    found = mu.retrieval_metrics(ranks, query_index, 6000, mu.AUDIO_TO_TEXT)
    counts = np.array([len(items) for items in relevant])
    expected = mu.chance_metrics(counts, 40, mu.AUDIO_TO_TEXT)
    assert found == pytest.approx(expected, abs=0.02)


def test_chance_of_a_large_collection_is_exact_and_quick():
    found = mu.chance_metrics(np.full(20_000, 5), 100_000, mu.AUDIO_TO_TEXT)
    assert found["hit@10"] == pytest.approx(1 - np.prod(1 - 10 / (100_000 - np.arange(5))), rel=1e-9)
    assert found["median_rank"] == pytest.approx(100_000 * (1 - 0.5 ** (1 / 5)), rel=1e-3)


def test_chance_without_queries_is_refused():
    with pytest.raises(ValueError, match=r"^no queries: chance is undefined$"):
        mu.chance_metrics(np.array([], int), 5)
    with pytest.raises(ValueError, match=r"^query 1 has 0 relevant items; expected 1 to 5$"):
        mu.chance_metrics(np.array([1, 0]), 5)


# ---------------------------------------------------------------- memory


def test_memory_does_not_grow_with_queries_times_candidates():
    script = """
import numpy as np
from benchmarks.bench_metrics_memory import peak_bytes
from utils import metric_utils as mu
embeddings = np.random.default_rng(0).standard_normal((12000, 4), dtype=np.float32)
def run(n):
    index = np.arange(n)
    relevance = mu.Relevance(index, index, n, n)
    mu.rank_and_top_k(mu.EmbeddingScores(embeddings[:n], embeddings[:n], block_bytes=2**22), relevance, 10)
    return peak_bytes()
run(2000)
print(run(12000) - run(2000))
"""
    root = Path(__file__).parents[2]
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert float(process.stdout) < 60e6  # the matrix has 576 MB


@pytest.mark.parametrize(
    "error", [mu.NonFiniteScoreError(3, 4, float("inf")), mu.NonFiniteEmbeddingError("query", 2, float("-inf"))]
)
def test_errors_travel_between_processes(error):
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(again), vars(again)) == (str(error), vars(error))
