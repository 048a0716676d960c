"""Pairing accuracy: by hand, at chance for random scores, in batches as a plain loop finds it."""

import numpy as np
import pytest

from utils.metric_utils.pairing import SelectedCandidates, first_caption_of_each_clip, pairing_accuracy
from utils.metric_utils.scores import MatrixScores


def accuracy(scores, batch_size=1000, **settings):
    return pairing_accuracy(MatrixScores(np.asarray(scores, np.float64)), batch_size, **settings)


def test_by_hand():
    scores = [
        [9, 1, 2, 3],  # own first
        [5, 4, 3, 2],  # own second
        [1, 2, 0, 3],  # own last
        [1, 2, 3, 4],  # own first
    ]
    found = accuracy(scores)
    assert found.measured == {
        "accuracy@1": 0.5,
        "accuracy@3": 0.75,
        "accuracy@10": 1.0,
        "batch_accuracy@1": 0.5,
        "batch_accuracy@3": 0.75,
        "batch_accuracy@10": 1.0,
    }
    assert found.chance == {f"{kind}@{k}": min(k, 4) / 4 for kind in ("accuracy", "batch_accuracy") for k in (1, 3, 10)}
    assert found.factor["accuracy@1"] == 2.0
    assert found.factor["accuracy@10"] == 1.0


def test_a_constant_matrix_is_at_chance():
    found = accuracy(np.zeros((100, 100)), batch_size=20)
    assert found.measured == pytest.approx(found.chance)
    assert found.chance["accuracy@3"] == 0.03
    assert found.chance["batch_accuracy@3"] == 0.15


def test_the_drawn_chance_is_near_the_closed_form_and_the_same_every_time():
    scores = np.random.default_rng(1).random((4000, 4000), np.float32)
    one, two = accuracy(scores, batch_size=100), accuracy(scores, batch_size=100)
    assert one == two
    for found in (one.chance_drawn, one.measured):  # both are random orders here
        for key, chance in one.chance.items():
            assert found[key] == pytest.approx(chance, abs=5 * np.sqrt(chance / 4000) + 1e-3)
    assert one.chance_drawn != accuracy(scores, batch_size=100, seed=1).chance_drawn


@pytest.mark.parametrize("batch_size", [1, 7, 16, 50, 1000])
def test_batches_as_a_plain_loop_finds_them(batch_size):
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 6, (50, 50)).astype(np.float64)  # many ties
    found = pairing_accuracy(MatrixScores(scores, block_bytes=8 * 50 * 7), batch_size, seed=5)
    batches = np.array_split(np.random.default_rng(5).permutation(50), -(-50 // batch_size))
    assert max(len(batch) for batch in batches) <= batch_size
    for k in (1, 3, 10):
        hits = []
        for batch in batches:
            for clip in batch:
                above = [c for c in batch if (-scores[clip, c], c) < (-scores[clip, clip], clip)]
                hits.append(len(above) < k)
        assert found.measured[f"batch_accuracy@{k}"] == pytest.approx(np.mean(hits))
        chance = np.mean([min(k, len(batch)) / len(batch) for batch in batches for _ in batch])
        assert found.chance[f"batch_accuracy@{k}"] == pytest.approx(chance)


def test_columns_can_be_selected():
    scores = np.arange(12.0).reshape(3, 4)
    source = SelectedCandidates(MatrixScores(scores, block_bytes=32), np.array([3, 0]))
    assert source.shape == (3, 2)
    blocks = list(source.blocks())
    assert [start for start, _ in blocks] == [0, 1, 2]
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), scores[:, [3, 0]])


def test_first_caption_of_each_clip():
    assert first_caption_of_each_clip(np.array([1, 0, 0, 2, 1]), 3).tolist() == [1, 0, 3]
    with pytest.raises(ValueError, match="1 of 4 clips have no caption"):
        first_caption_of_each_clip(np.array([1, 0, 0, 2, 1]), 4)


def test_scores_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match=r"scores are \(2, 3\); expected one caption a clip, \(N, N\)"):
        accuracy(np.zeros((2, 3)))
