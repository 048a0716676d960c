"""Baselines that do not see the input, and how varied captions are."""

import numpy as np
import pytest

from utils.metric_utils.captions.baselines import (
    Collapse,
    collapse_of,
    distinct_share,
    most_frequent_caption,
    other_clips,
    shuffled_inputs,
    vocabulary_size,
)


def test_the_most_frequent_caption_is_counted_by_its_words():
    assert most_frequent_caption(["Rain", "A dog.", "a dog", "rain falls", "..."]) == "A dog."
    assert most_frequent_caption(["b", "a", "b c"]) == "a"  # of equals the first by alphabet, in any order of the table
    with pytest.raises(ValueError, match="no caption has a word"):
        most_frequent_caption(["...", ""])


@pytest.mark.parametrize("clips", [2, 3, 10, 101])
def test_every_clip_gets_another_one_and_each_once(clips):
    others = other_clips(clips)
    assert sorted(others.tolist()) == list(range(clips))
    assert not (others == np.arange(clips)).any()
    assert (others == other_clips(clips)).all()


def test_shuffled_inputs():
    assert sorted(shuffled_inputs(["a", "b", "c"])) == ["a", "b", "c"]
    assert shuffled_inputs(["a"]) == ["a"]


def test_nine_clips_in_ten_with_one_caption_are_a_collapse():
    assert collapse_of(["a dog"] * 9 + ["rain"]) == Collapse("a dog", 9)
    assert collapse_of(["a dog"] * 8 + ["rain"] * 2) is None
    assert collapse_of(["a dog"]) is None  # one clip says nothing


def test_variety():
    captions = ["A dog barks.", "a dog barks", "a dog's bowl", ""]
    assert vocabulary_size(captions) == 5  # a, dog, barks, 's, bowl
    assert distinct_share(captions) == 0.75
