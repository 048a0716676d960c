"""Ensembles: normalised query by query, mixed in any blocks, weighed on what they are given."""

import itertools

import numpy as np
import pytest
from scipy import stats

from utils.metric_utils import ensembles as module
from utils.metric_utils.ensembles import WeightedMean, choose_weights, cutoffs_of, normalised
from utils.metric_utils.ranking import Relevance, ranks_of_relevant
from utils.metric_utils.retrieval import retrieval_metrics
from utils.metric_utils.scores import MatrixScores, NonFiniteScoreError


def scores_of(shape=(40, 13), seed=0, decimals=None):
    scores = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return scores if decimals is None else scores.round(decimals)


class Blocks:
    """A source in blocks of given sizes, all in one buffer that the next block overwrites."""

    def __init__(self, scores, sizes):
        self._scores, self._sizes = scores, sizes
        self.shape = scores.shape

    def blocks(self):
        start, sizes = 0, itertools.cycle(self._sizes)
        buffer = np.empty_like(self._scores)
        while start < len(self._scores):
            block = self._scores[start : start + next(sizes)]
            buffer[:] = np.nan
            buffer[: len(block)] = block
            yield start, buffer[: len(block)]
            start += len(block)


def matrix_of(source):
    return np.concatenate([block.copy() for _, block in source.blocks()])


def test_normalised_by_hand():
    scores = np.array([[3.0, 1.0, 3.0, 2.0], [5.0, 5.0, 5.0, 5.0]], np.float32)
    np.testing.assert_allclose(normalised(scores, "rank"), [[2.5 / 3, 0, 2.5 / 3, 1 / 3], [0.5] * 4])
    spread = np.sqrt((0.75**2 * 2 + 1.25**2 + 0.25**2) / 4)
    np.testing.assert_allclose(
        normalised(scores, "zscore"), [np.array([0.75, -1.25, 0.75, -0.25]) / spread, np.zeros(4)]
    )
    np.testing.assert_array_equal(normalised(scores, "none"), scores)
    np.testing.assert_array_equal(normalised(scores[:, :1], "rank"), [[0], [0]])  # a single candidate


@pytest.mark.parametrize("decimals", [None, 0, 1])
def test_normalised_as_scipy_does(decimals):
    scores = scores_of((50, 31), decimals=decimals)
    ranks = stats.rankdata(scores, axis=1, method="average")
    np.testing.assert_allclose(normalised(scores, "rank"), (ranks - 1) / 30)
    np.testing.assert_allclose(normalised(scores, "zscore"), stats.zscore(scores.astype(float), axis=1), atol=1e-12)


def test_a_constant_row_stays_constant_whatever_its_rounding():
    scores = np.full((3, 7), 0.1, np.float32) * np.array([[1], [1e-30], [1e30]], np.float32)
    for how in ("rank", "zscore"):
        assert (np.ptp(normalised(scores, how), axis=1) == 0).all()


@pytest.mark.parametrize("how", ["rank", "zscore"])
def test_scale_and_offset_of_a_member_do_not_count(how):
    one, two = scores_of(seed=1), scores_of(seed=2)
    mixed = matrix_of(WeightedMean([MatrixScores(one), MatrixScores(two)], [1, 2], how))
    scaled = matrix_of(WeightedMean([MatrixScores(one * 64 + 8), MatrixScores(two / 32)], [1, 2], how))
    np.testing.assert_allclose(mixed, scaled, atol=1e-5)


@pytest.mark.parametrize("how", ["rank", "zscore", "none"])
@pytest.mark.parametrize("chunk", [1, 60, 2**20])
def test_blocks_of_any_size_give_the_same_mean(monkeypatch, how, chunk):
    monkeypatch.setattr(module, "_CHUNK_SCORES", chunk)
    members = [scores_of(seed=seed) for seed in range(3)]
    expected = sum(w * normalised(m, how) for w, m in zip((0.5, 0.3, 0.2), members, strict=True))
    sources = [Blocks(m, sizes) for m, sizes in zip(members, ([7], [40], [1, 5, 2]), strict=True)]
    mean = WeightedMean(sources, (5, 3, 2), how)
    assert mean.shape == (40, 13)
    starts = [start for start, _ in mean.blocks()]
    assert starts == sorted(set(starts))
    np.testing.assert_allclose(matrix_of(mean), expected, atol=1e-12)
    assert matrix_of(mean).dtype == np.float64


@pytest.mark.parametrize("how", ["rank", "zscore", "none"])
def test_small_differences_of_float64_survive(how):
    one = np.array([[0.5, 0.5 + 1e-9, 0.5 - 1e-9, -3.0]])
    mean = matrix_of(WeightedMean([MatrixScores(one), MatrixScores(one.copy())], [0.3, 0.7], how))
    assert np.argsort(-mean[0]).tolist() == [1, 0, 2, 3]
    assert len(np.unique(mean)) == 4


def test_equal_means_of_ranks_stay_equal_whatever_the_weights_rounding():
    """0.7 x 0 + 0.3 x 7 and 0.7 x 3 + 0.3 x 0, both of 7."""
    one = np.array([[0.0, 3.0, 1, 2, 4, 5, 6, 7]])
    two = np.array([[7.0, 0.0, 1, 2, 3, 4, 5, 6]])
    for weights in ((0.7, 0.3), (7, 3), (1 - 0.3, 0.3), (2.1, 0.9)):
        mean = matrix_of(WeightedMean([MatrixScores(one), MatrixScores(two)], weights, "rank"))
        assert mean[0, 0] == mean[0, 1]


def test_a_member_without_weight_is_not_read():
    class Untouched(MatrixScores):
        def blocks(self):
            raise AssertionError

    one = scores_of()
    mean = WeightedMean([MatrixScores(one), Untouched(one)], [2, 0], "none")
    np.testing.assert_array_equal(matrix_of(mean), one)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 weights for 2 members; expected one each"),
        ([1, -1], "none below 0"),
        ([0, 0], "not all 0"),
        ([1, np.nan], "expected finite numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        WeightedMean([MatrixScores(scores_of())] * 2, weights)


def test_members_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"members are \(40, 13\), \(40, 12\); expected one shape"):
        WeightedMean([MatrixScores(scores_of()), MatrixScores(scores_of((40, 12)))], [1, 1])
    with pytest.raises(ValueError, match="no members"):
        WeightedMean([], [])
    with pytest.raises(ValueError, match="normalisation is 'max'; choices: rank, zscore, none"):
        WeightedMean([MatrixScores(scores_of())], [1], "max")
    with pytest.raises(ValueError, match="normalisation is 'max'"):
        normalised(scores_of(), "max")
    bad = scores_of()
    bad[30, 2] = np.nan
    with pytest.raises(NonFiniteScoreError) as error:
        matrix_of(WeightedMean([MatrixScores(scores_of()), MatrixScores(bad)], [1, 1]))
    assert (error.value.query, error.value.candidate) == (30, 2)


def system(relevance, strength, seed):
    """Noise, with the relevant items raised."""
    scores = scores_of((relevance.number_of_queries, relevance.number_of_candidates), seed)
    scores[relevance.query_index, relevance.item_index] += strength
    return scores


def relevance_of(queries=200, candidates=40, seed=0):
    rng = np.random.default_rng(seed)
    pairs = [(q, c) for q in range(queries) for c in rng.choice(candidates, rng.integers(1, 4), replace=False)]
    return Relevance(*np.array(pairs).T, queries, candidates)


def value_of(members, weights, how, relevance, metric):
    mean = sum(w * normalised(m, how) for w, m in zip(weights, members, strict=True))
    mean = mean.round(12) if how == "rank" else mean
    ranks = ranks_of_relevant(MatrixScores(mean), relevance.query_index, relevance.item_index)
    return retrieval_metrics(ranks, relevance.query_index, relevance.number_of_queries, cutoffs_of(metric))[metric]


@pytest.mark.parametrize("metric", ["mAP@10", "R@5", "hit@1"])
@pytest.mark.parametrize("how", ["rank", "zscore"])
def test_two_members_are_searched_completely(metric, how):
    relevance = relevance_of()
    members = [system(relevance, 1.5, 1), system(relevance, 1.0, 2)]
    found = choose_weights([Blocks(members[0], [30]), Blocks(members[1], [77])], relevance, metric, how)
    of_tenths = {n: value_of(members, (n / 20, 1 - n / 20), how, relevance, metric) for n in range(0, 21, 2)}
    of_all = {n: value_of(members, (n / 20, 1 - n / 20), how, relevance, metric) for n in range(21)}
    assert max(of_tenths.values()) <= found.value == max(of_all.values())
    assert found.value == of_all[round(20 * found.weights[0])]
    assert found.member_values == [of_all[20], of_all[0]]
    assert found.even_value == of_all[10]


def test_three_members_beat_each_alone_and_the_file_gives_the_same_number():
    relevance = relevance_of()
    members = [system(relevance, strength, seed) for seed, strength in enumerate((1.5, 1.2, 0.9))]
    sources = [MatrixScores(m) for m in members]
    found = choose_weights(sources, relevance)
    assert sum(found.weights) == pytest.approx(1)
    assert all(weight * 20 == pytest.approx(round(weight * 20)) for weight in found.weights)
    assert found.value >= max([*found.member_values, found.even_value])
    assert found.value > max(found.member_values)
    ranks = ranks_of_relevant(WeightedMean(sources, found.weights), relevance.query_index, relevance.item_index)
    assert found.value == retrieval_metrics(ranks, relevance.query_index, 200)["mAP@10"]
    assert choose_weights(sources, relevance) == found


def test_a_member_of_noise_gets_next_to_nothing():
    relevance = relevance_of()
    found = choose_weights([MatrixScores(system(relevance, 0, 5)), MatrixScores(system(relevance, 3, 6))], relevance)
    assert found.weights[0] <= 0.1


def test_members_that_are_alike_share_the_weight():
    relevance = relevance_of()
    same = MatrixScores(system(relevance, 1, 3))
    assert choose_weights([same, same], relevance, how="none").weights == (0.5, 0.5)
    assert choose_weights([same], relevance).weights == (1.0,)


def test_what_cannot_be_chosen_by_is_refused():
    relevance = relevance_of()
    source = MatrixScores(system(relevance, 1, 3))
    for metric in ("median_rank", "R@0", "AP@10", "mAP", "R@x"):
        with pytest.raises(ValueError, match="choices: R@k, mAP@k, hit@k"):
            choose_weights([source], relevance, metric)
    with pytest.raises(ValueError, match="expected one shape"):
        choose_weights([MatrixScores(scores_of())], relevance)
    with pytest.raises(ValueError, match="normalisation is 'x'"):
        choose_weights([source], relevance, how="x")
