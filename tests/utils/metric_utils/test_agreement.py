"""The metrics beside other implementations, and what must hold of them for any input."""

from __future__ import annotations

import itertools
from math import log2

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.metric_utils.chance import chance_metrics
from utils.metric_utils.ranking import ranks_of_relevant
from utils.metric_utils.retrieval import Cutoffs, per_query_values, summarise
from utils.metric_utils.scores import MatrixScores

QUERIES, CANDIDATES = 2000, 24
CUTOFFS = (1, 2, 5, 10, 24)
ALL = Cutoffs(recall=CUTOFFS, average_precision=CUTOFFS, hit=CUTOFFS, ndcg=CUTOFFS)


@pytest.fixture(scope="module")
def random_cases():
    """2000 queries with 1 to 12 relevant candidates of 24, gains 1 to 4 (0: not relevant), and scores without ties."""
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.linspace(0.1, 1, CANDIDATES), (QUERIES, 1)), axis=1)
    gains = rng.permuted(
        np.where(np.arange(CANDIDATES) < rng.integers(1, 13, (QUERIES, 1)), rng.integers(1, 5, (QUERIES, 24)), 0),
        axis=1,
    )
    return scores, gains


def values_of(scores, gains, cutoffs=ALL, **how):
    """Compute the values of each query from dense gains: items above 0 are relevant."""
    query_index, item_index = np.nonzero(gains)
    ranks = ranks_of_relevant(MatrixScores(scores, **how), query_index, item_index)
    return per_query_values(ranks, query_index, len(scores), cutoffs, gains[query_index, item_index])


# ---------------------------------------------------------------- other implementations


def test_uncut_average_precision_is_scikit_learn_s(random_cases):
    from sklearn import config_context
    from sklearn.metrics import average_precision_score

    scores, gains = random_cases
    found = values_of(scores, gains)[f"mAP@{CANDIDATES}"]
    with config_context(assume_finite=True, skip_parameter_validation=True):  # three times as quick
        expected = [average_precision_score(g > 0, s) for s, g in zip(scores, gains, strict=True)]
    assert found == pytest.approx(np.array(expected), rel=0, abs=1e-12)


def test_ndcg_is_scikit_learn_s(random_cases):
    from sklearn.metrics import ndcg_score

    scores, gains = random_cases
    found = values_of(scores, gains)
    for k in CUTOFFS:
        assert found[f"nDCG@{k}"].mean() == pytest.approx(ndcg_score(gains, scores, k=k), rel=0, abs=1e-12)
    for query in range(0, QUERIES, 100):  # means hide errors that cancel
        row = slice(query, query + 1)
        assert found["nDCG@5"][query] == pytest.approx(ndcg_score(gains[row], scores[row], k=5), rel=0, abs=1e-12)


def test_uncut_metrics_are_those_of_torchmetrics(random_cases):
    """Its RetrievalMAP(top_k) divides by the relevant items retrieved, and takes scores <= 0 for not retrieved.

    So only the uncut one is comparable, on scores above 0.
    """
    from torchmetrics.functional import retrieval as tm

    scores, gains = (torch.from_numpy(array)[:1000] for array in random_cases)
    found = values_of(*random_cases)
    expected = {f"mAP@{CANDIDATES}": [], "median_rank": []}
    expected |= {f"{name}@{k}": [] for name in ("R", "hit", "nDCG") for k in (2, 10)}
    for preds, target in zip(scores.float(), gains, strict=True):
        relevant = target > 0
        expected[f"mAP@{CANDIDATES}"].append(tm.retrieval_average_precision(preds, relevant))
        expected["median_rank"].append(1 / tm.retrieval_reciprocal_rank(preds, relevant))
        for k in (2, 10):
            expected[f"R@{k}"].append(tm.retrieval_recall(preds, relevant, top_k=k))
            expected[f"hit@{k}"].append(tm.retrieval_hit_rate(preds, relevant, top_k=k))
            expected[f"nDCG@{k}"].append(tm.retrieval_normalized_dcg(preds, target, top_k=k))
    for key, numbers in expected.items():
        tolerance = {"rel": 1e-6} if key == "median_rank" else {"rel": 0, "abs": 1e-6}
        assert found[key][:1000] == pytest.approx(torch.stack(numbers).numpy(), **tolerance), key


def test_the_metrics_of_torchmetrics_modules_are_ours(random_cases):
    from torchmetrics import retrieval as tm

    scores, gains = random_cases
    metrics = summarise(values_of(scores, gains))
    given_ = {
        "preds": torch.from_numpy(scores).float().ravel(),
        "indexes": torch.arange(QUERIES).repeat_interleave(CANDIDATES),
    }
    relevant, graded = torch.from_numpy(gains > 0).ravel(), torch.from_numpy(gains).ravel()
    assert float(tm.RetrievalMAP()(**given_, target=relevant)) == pytest.approx(metrics["mAP@24"], abs=1e-6)
    assert float(tm.RetrievalRecall(top_k=5)(**given_, target=relevant)) == pytest.approx(metrics["R@5"], abs=1e-6)
    assert float(tm.RetrievalHitRate(top_k=5)(**given_, target=relevant)) == pytest.approx(metrics["hit@5"], abs=1e-6)
    ndcg = tm.RetrievalNormalizedDCG(top_k=5)(**given_, target=graded)
    assert float(ndcg) == pytest.approx(metrics["nDCG@5"], abs=1e-6)


def by_definition(scores, gains, k):
    """One query: sort the candidates, walk down the list and count."""
    order = sorted(range(len(scores)), key=lambda c: (-scores[c], c))
    relevant = sum(gain > 0 for gain in gains)
    found, precisions, dcg, best_rank = 0, 0.0, 0.0, None
    for rank, candidate in enumerate(order, start=1):
        if gains[candidate] > 0:
            best_rank = best_rank or rank
            if rank <= k:
                found += 1
                precisions += found / rank
                dcg += gains[candidate] / log2(rank + 1)
    ideal = sum(gain / log2(rank + 1) for rank, gain in enumerate(sorted(gains, reverse=True)[:k], start=1))
    return {
        f"R@{k}": found / relevant,
        f"mAP@{k}": precisions / relevant,
        f"nDCG@{k}": dcg / ideal,
        "median_rank": best_rank,
        f"hit@{k}": float(found > 0),
    }


@pytest.mark.parametrize("values", [1, 2, 5, 1000])
def test_the_metrics_are_their_definitions_with_ties(values, random_cases):
    """Scores of so many values: one (all tie), two, five (most tie), and hardly a tie."""
    rng = np.random.default_rng(values)
    gains = random_cases[1]
    scores = rng.integers(0, values, gains.shape).astype(np.float32)
    found = values_of(scores, gains)
    for k in CUTOFFS:
        rows = zip(scores.tolist(), gains.tolist(), strict=True)
        expected = [by_definition(row, gain, k) for row, gain in rows]
        for key in expected[0]:
            assert found[key] == pytest.approx(np.array([e[key] for e in expected]), rel=0, abs=1e-12), key


# ---------------------------------------------------------------- what must hold for any input


@st.composite
def cases(draw, ties=True):
    """Scores, dense gains with at least one above 0 in each row."""
    queries, candidates = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    if ties:
        scores = draw(hnp.arrays(np.float32, (queries, candidates), elements=st.sampled_from([-1.0, 0.0, 0.5])))
    else:
        scores = np.array(draw(st.permutations(range(queries * candidates))), np.float32).reshape(queries, candidates)
    gains = draw(hnp.arrays(np.float64, (queries, candidates), elements=st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0])))
    gains[np.arange(queries), draw(hnp.arrays(np.int64, queries, elements=st.integers(0, candidates - 1)))] = 1.0
    return scores, gains


SMALL = Cutoffs(recall=(1, 2, 3, 4, 9), average_precision=(1, 3, 9), hit=(1, 3, 9), ndcg=(1, 3, 9))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=cases(ties=False), seed=st.integers(0, 2**16))
def test_a_permutation_of_the_candidates_changes_nothing(case, seed):
    scores, gains = case
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    expected = values_of(scores, gains, SMALL)
    for key, value in values_of(scores[:, order], gains[:, order], SMALL).items():
        assert value == pytest.approx(expected[key], abs=1e-12)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=cases(), block_bytes=st.integers(1, 200))
def test_blocks_of_any_size_give_the_same_numbers(case, block_bytes):
    expected = values_of(*case, SMALL)
    for key, value in values_of(*case, SMALL, block_bytes=block_bytes).items():
        assert value.tolist() == expected[key].tolist()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=cases())
def test_recall_and_hits_grow_with_k_and_all_lie_in_0_to_1(case):
    values = values_of(*case, SMALL)
    for name, cutoffs in (("R", SMALL.recall), ("hit", SMALL.hit), ("mAP", SMALL.average_precision)):
        for smaller, larger in itertools.pairwise(cutoffs):
            assert (values[f"{name}@{smaller}"] <= values[f"{name}@{larger}"] + 1e-12).all()
    assert (values["R@9"] == 1).all()  # of at most 8 candidates
    for key, value in values.items():
        if key != "median_rank":
            assert ((value >= 0) & (value <= 1)).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=cases(), k=st.integers(1, 9))
def test_adding_a_relevant_item_to_the_top_never_lowers_ap(case, k):
    """A new relevant candidate above all others; at a cut, unless it pushes a relevant one off the end."""
    scores, gains = case
    cutoffs = Cutoffs(recall=(k, max(k - 1, 1)), average_precision=(k,), hit=(k,))
    before = values_of(scores, gains, cutoffs)
    top = np.full(len(scores), 9.0, np.float32)
    after = values_of(np.column_stack([top, scores]), np.column_stack([np.ones(len(gains)), gains]), cutoffs)
    stays = before[f"R@{k}"] == (before[f"R@{k - 1}"] if k > 1 else 0)  # nothing relevant on place k
    assert (after[f"mAP@{k}"] >= before[f"mAP@{k}"] - 1e-12)[stays].all()
    assert (after[f"hit@{k}"] == 1).all()
    assert (after["median_rank"] == 1).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(case=cases(), k=st.integers(1, 9))
def test_lifting_a_relevant_item_to_the_top_lowers_nothing(case, k):
    scores, gains = case
    lifted = scores.copy()
    lifted[np.arange(len(gains)), gains.argmax(axis=1)] = 9.0
    cutoffs = Cutoffs(recall=(k,), average_precision=(k,), hit=(k,), ndcg=(k,))
    before, after = values_of(scores, gains, cutoffs), values_of(lifted, gains, cutoffs)
    assert (after.pop("median_rank") == 1).all()
    for key, value in after.items():
        assert (value >= before[key] - 1e-12).all(), key


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    gains=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=9).filter(any), score=st.floats(-9, 9)
)
def test_constant_scores_are_at_chance_over_all_cyclic_shifts(gains, score):
    """Over all shifts every item has each rank once: R@k, nDCG@k, and all metrics of one item, are at chance."""
    n = len(gains)
    shifted = np.stack([np.roll(gains, shift) for shift in range(n)])
    found = summarise(values_of(np.full((n, n), score), shifted, SMALL))
    query_index, item_index = np.nonzero(shifted)
    counts = np.bincount(query_index)
    chance = chance_metrics(counts, n, SMALL, shifted[query_index, item_index], query_index)
    for key in found:
        if key.startswith(("R@", "nDCG@")) or counts[0] == 1:
            assert found[key] == pytest.approx(chance[key], abs=1e-12), key


@pytest.mark.parametrize("relevant", [1, 2, 3, 6])
def test_constant_scores_are_at_chance_over_all_places_of_several_items(relevant):
    places = list(itertools.combinations(range(6), relevant))
    gains = np.zeros((len(places), 6))
    for query, items in enumerate(places):
        gains[query, list(items)] = 1.0
    found = summarise(values_of(np.zeros(gains.shape, np.float32), gains, SMALL))
    chance = chance_metrics(np.full(len(places), relevant), 6, SMALL)
    assert found == pytest.approx(chance, abs=1e-12)
