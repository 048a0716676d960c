"""Every kind of index: what it finds, that it is the same bytes again, and that a mapped one finds the same."""

import numpy as np
import pytest

from tests.utils.index_utils.clusters import clustered
from utils.artefact_utils.retrieval.search_index import write_search_index
from utils.index_utils import INDEX_KINDS, VectorSearch, build_index, plan_index, tuned
from utils.index_utils.searching import RECALL_TARGET
from utils.metric_utils.nearest import top_k_in_blocks
from utils.metric_utils.ranking import top_k
from utils.metric_utils.scores import EmbeddingScores

CLIPS, WIDTH = 3000, 30
VECTORS, QUERIES = clustered(CLIPS, WIDTH, 1), clustered(64, WIDTH, 2)


def built(kind, vectors=VECTORS, similarity="dot"):
    plan = plan_index(kind, len(vectors), vectors.shape[1], 1e9)
    added = []
    index = build_index(plan, vectors, similarity, 0, added.append)
    assert sum(added) == index.ntotal == len(vectors)
    return VectorSearch(index, plan, vectors, similarity, plan.efforts[0])


def exact(queries, vectors, k, similarity="dot"):
    return top_k(EmbeddingScores(queries, vectors, similarity=similarity), k)


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_each_kind_finds_nearly_all_of_the_best_and_gives_their_exact_scores(kind):
    search = built(kind)
    best, scores = exact(QUERIES, VECTORS, 10)
    measured = tuned(search, QUERIES, best)
    assert measured.recall >= RECALL_TARGET
    assert measured.effort == search.effort
    assert 0 < measured.ms_per_query < 1000
    rows, values = search.search(QUERIES, 10)
    np.testing.assert_allclose(values, np.einsum("qke,qe->qk", VECTORS[rows], QUERIES), atol=1e-6)
    np.testing.assert_allclose(values[rows == best], scores[rows == best], atol=1e-6)
    assert (np.diff(values, axis=1) <= 0).all()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("norm", [True, False])
def test_a_flat_index_gives_the_lists_of_exact_search_ties_among_them(similarity, norm):
    vectors = clustered(1000, WIDTH, 3, norm)
    vectors[500:] = vectors[:500]  # every clip twice
    queries = 3 * clustered(40, WIDTH, 4)
    best, scores = exact(queries, vectors, 9, similarity)
    rows, values = built("flat", vectors, similarity).search(queries, 9)
    np.testing.assert_array_equal(rows, best)
    np.testing.assert_allclose(values, scores, rtol=1e-5, atol=1e-6)
    assert (rows[:, ::2][:, :4] + 500 == rows[:, 1::2]).all()


@pytest.mark.parametrize("kind", ["ivf", "hnsw", "pq"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_vectors_of_any_length_by_both_similarities(kind, similarity):
    vectors = clustered(2000, WIDTH, 5, norm=False)
    best, _ = exact(QUERIES, vectors, 10, similarity)
    assert tuned(built(kind, vectors, similarity), QUERIES, best).recall >= RECALL_TARGET


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_an_index_is_the_same_bytes_again(kind, tmp_path):
    contents = []
    for name in ("a.faiss", "b.faiss"):
        write_search_index(tmp_path / name, built(kind)._index)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_more_results_than_the_lists_hold_are_found_all_the_same(kind):
    rows, values = built(kind).search(QUERIES[:2], CLIPS + 5)
    assert rows.shape == (2, CLIPS)
    assert (np.sort(rows, axis=1) == np.arange(CLIPS)).all()
    assert (np.diff(values, axis=1) <= 0).all()


def test_a_few_clips_are_all_found():
    for kind in ("flat", "ivf", "hnsw"):
        rows, _ = built(kind, VECTORS[:3]).search(QUERIES, 10)
        np.testing.assert_array_equal(rows, exact(QUERIES, VECTORS[:3], 3)[0])


def test_lists_are_scanned_until_enough_is_found_but_not_where_the_codes_are_too_coarse():
    other = np.random.default_rng(0).integers(0, CLIPS, (64, 10))  # lists that no search gives
    scanned, compressed = built("ivf"), built("pq")
    assert tuned(scanned, QUERIES, other).effort == scanned.plan.lists
    assert tuned(compressed, QUERIES, other).effort == compressed.plan.efforts[0]


def test_a_flat_index_agrees_with_the_search_in_blocks():
    rows, _ = built("flat").search(QUERIES, 10)
    blocks, _ = top_k_in_blocks(QUERIES, VECTORS, 10, block_bytes=4 * WIDTH * 77)
    np.testing.assert_array_equal(rows, blocks)
