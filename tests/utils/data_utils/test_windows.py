"""Fixed windows of training: which they are, by hand and by properties, and in which batches they come."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.utils.data_utils.corpus import FRAMES, Corpus
from utils.data_utils import AudioClips, TrainLoader
from utils.data_utils.windows import overlapping_windows


def rows(lengths, max_length, overlap):
    windows = overlapping_windows(np.array(lengths), max_length, overlap)
    return [tuple(map(int, row)) for row in zip(*windows, strict=True)]


def test_by_hand():
    """Half overlap: 0-10, 5-15, ... and a last one that ends with the clip; what is shorter is one window."""
    of_the_first = [(0, start, 10) for start in (0, 5, 10, 13)]
    assert rows([23, 4, 10], 10, 0.5) == [*of_the_first, (1, 0, 4), (2, 0, 10)]
    assert rows([20], 10, 0.0) == [(0, 0, 10), (0, 10, 10)]
    assert rows([21], 10, 0.0) == [(0, 0, 10), (0, 10, 10), (0, 11, 10)]
    assert rows([12], 10, 0.99) == [(0, 0, 10), (0, 1, 10), (0, 2, 10)]
    assert rows([1, 1], 1, 0.5) == [(0, 0, 1), (1, 0, 1)]  # vectors


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(1, 90), st.floats(0, 0.95))
def test_nothing_is_left_out_and_windows_are_whole(lengths, max_length, overlap):
    found = rows(lengths, max_length, overlap)
    for clip, length in enumerate(lengths):
        own = [(start, size) for number, start, size in found if number == clip]
        assert {size for _, size in own} == {min(length, max_length)}
        assert own[0][0] == 0
        assert sum(own[-1]) == length
        steps = np.diff([start for start, _ in own])
        assert (steps[:-1] == max(1, round(max_length * (1 - overlap)))).all()
        assert ((steps > 0) & (steps <= max_length)).all()


@pytest.fixture
def clips(tmp_path):
    return AudioClips(Corpus(tmp_path).data, "x")  # windows of 101 frames


def drawn(loader, epoch):
    loader.set_epoch(epoch)
    return [(batch["clip_ids"].tolist(), batch["audio"]) for batch in loader]


def test_an_epoch_is_every_window_once_in_an_order_of_its_own(clips):
    sampler = clips.window_sampler(4, seed=3, overlap=0.5)
    assert len(sampler) == -(-len(rows(FRAMES, 101, 0.5)) // 4)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = [list(zip(*map(np.ndarray.tolist, batch), strict=True)) for batch in sampler]
        assert len(batches) == len(sampler)
        assert max(map(len, batches)) - min(map(len, batches)) <= 1
        epochs.append([window for batch in batches for window in batch])
        assert sorted(epochs[-1]) == sorted((clip, start) for clip, start, _ in rows(FRAMES, 101, 0.5))
    assert len(set(map(tuple, epochs))) == 3


def test_the_draw_is_that_of_seed_and_epoch(clips):
    """A resumed run goes on with what the run that was not killed would have drawn."""

    def loader(seed):
        return TrainLoader(clips, clips.window_sampler(3, seed, overlap=0.25))

    went_on, resumed = loader(1), loader(1)
    for epoch in (1, 2):
        drawn(went_on, epoch)
    for one, other in zip(drawn(went_on, 3), drawn(resumed, 3), strict=True):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
    assert [ids for ids, _ in drawn(loader(2), 3)] != [ids for ids, _ in drawn(resumed, 3)]
