"""Which pairs meet: an epoch goes through everything once, whatever was drawn before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.data_utils import PairSampler, SamplingSpec


def corpus(clips, captions, seed=0):
    """The clip of each caption (every clip has one at least, some have many) and frames of each clip."""
    rng = np.random.default_rng(seed)
    clip_of_caption = rng.permutation(np.concatenate([np.arange(clips), rng.integers(0, clips, captions - clips)]))
    return clip_of_caption, rng.integers(1, 300, clips)


def sampler(clips=10, captions=30, batch_size=4, max_frames=100, seed=0, **sampling):
    clip_of_caption, frames = corpus(clips, captions)
    return PairSampler(clip_of_caption, frames, max_frames, batch_size, seed, SamplingSpec(**sampling))


sizes = st.tuples(st.integers(1, 20), st.integers(0, 40), st.integers(1, 9), st.integers(1, 5))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(sizes)
def test_by_caption_every_caption_comes_once(size):
    clips, more, batch_size, pool = size
    made = sampler(clips, clips + more, batch_size, length_pool=pool)
    batches = [batch.captions for batch in made]
    assert sorted(np.concatenate(batches)) == list(range(clips + more))
    assert len(batches) == len(made)
    lengths = [len(batch) for batch in batches]
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= max(batch_size, 3)
    assert min(lengths) >= min(2, clips + more)  # a pair alone has nothing to contrast with


@settings(max_examples=100, deadline=None, derandomize=True)
@given(sizes, st.integers(1, 4))
def test_by_clip_every_clip_comes_once_with_captions_of_its_own(size, captions_per_clip):
    clips, more, batch_size, pool = size
    clip_of_caption, _ = corpus(clips, clips + more)
    made = sampler(clips, clips + more, batch_size, by="clip", captions_per_clip=captions_per_clip, length_pool=pool)
    batches = [batch.captions for batch in made]
    clips_of_batch = [np.unique(clip_of_caption[batch]) for batch in batches]
    assert sorted(np.concatenate(clips_of_batch)) == list(range(clips))  # in one batch each, and in no other
    assert all(len(np.unique(batch)) == len(batch) for batch in batches)
    drawn = np.bincount(clip_of_caption[np.concatenate(batches)])
    np.testing.assert_array_equal(drawn, np.minimum(captions_per_clip, np.bincount(clip_of_caption)))
    assert len(batches) == len(made)
    assert min(map(len, clips_of_batch)) >= min(2, clips)


@pytest.mark.parametrize("sampling", [{}, {"by": "clip", "captions_per_clip": 2}, {"by": "clip", "length_pool": 3}])
def test_the_draw_is_that_of_seed_and_epoch(sampling):
    def draw(seed, epoch, before=0):
        made = sampler(seed=seed, **sampling)
        for _ in range(before):
            list(made)  # earlier epochs leave no trace
        made.set_epoch(epoch)
        return [(batch.captions.tolist(), batch.starts.tolist()) for batch in made]

    assert draw(0, 3) == draw(0, 3, before=2)
    assert draw(0, 3) != draw(0, 4)
    assert draw(0, 3) != draw(1, 3)
    captions = {str(draw(0, epoch)) for epoch in range(20)}
    assert len(captions) == 20


def test_every_caption_of_a_clip_has_its_turn():
    made = sampler(clips=4, captions=20, by="clip")
    seen = set()
    for epoch in range(200):
        made.set_epoch(epoch)
        seen |= set(np.concatenate([batch.captions for batch in made]).tolist())
    assert seen == set(range(20))


def test_windows_lie_in_their_clip_and_are_one_a_clip_of_a_batch():
    clip_of_caption, frames = corpus(10, 30)
    made = sampler(max_frames=100)
    starts = []
    for epoch in range(300):
        made.set_epoch(epoch)
        for captions, first in made:
            clips = clip_of_caption[captions]
            assert (first >= 0).all()
            assert (first <= np.maximum(frames[clips] - 100, 0)).all()
            assert all(len(np.unique(first[clips == clip])) == 1 for clip in clips)
            starts += list(zip(clips.tolist(), first.tolist(), strict=True))
    longest = int(frames.argmax())
    drawn = np.array([start for clip, start in starts if clip == longest])
    assert drawn.min() == 0
    assert drawn.max() == frames[longest] - 100  # the last frame is reached too
    short = {start for clip, start in starts if frames[clip] <= 100}
    assert short == {0}


def test_a_length_pool_sorts_its_batches_and_loses_nothing():
    clip_of_caption, frames = corpus(200, 200, seed=3)

    def spread(pool):
        made = PairSampler(clip_of_caption, frames, 1000, 10, 0, SamplingSpec(length_pool=pool))
        batches = [frames[clip_of_caption[batch.captions]] for batch in made]
        assert sorted(np.concatenate(batches)) == sorted(frames[clip_of_caption])
        return np.mean([np.ptp(batch) for batch in batches]), [batch.max() for batch in batches]

    plain, _ = spread(1)
    pooled, longest = spread(20)  # one pool holds all: the batches are those of a sorted list
    assert pooled < plain / 5
    assert longest != sorted(longest)  # but not in the order of their lengths
    partly, _ = spread(4)
    assert pooled < partly < plain


def test_clips_without_captions_are_never_drawn():
    made = PairSampler(np.array([1, 1, 4]), np.full(6, 10), 5, 2, 0, SamplingSpec(by="clip"))
    assert sorted(len(batch.captions) for batch in made) == [2]
    assert len(made) == 1
