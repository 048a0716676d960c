"""Which kind of sound a caption names."""

from __future__ import annotations

import re

import pytest

from benchmarks.named_kinds import kind_of, named_kind, words_of_kinds
from utils.cli_utils import UserError

DOG, RAIN = [("dog", "a dog barks")] * 4, [("rain", "a heavy rain falls")] * 4
# 'loud' is of both kinds, 'yelps' too rare, 'wet' of rain in 4 of 5
CAPTIONS = [*DOG, *RAIN, ("dog", "loud dog yelps"), ("rain", "loud wet rain"), *[("rain", "wet")] * 3, ("dog", "wet")]


def test_a_word_belongs_to_a_kind_when_it_is_said_of_hardly_anything_else():
    words = words_of_kinds(CAPTIONS)
    assert words == {"dog": "dog", "barks": "dog", "heavy": "rain", "rain": "rain", "falls": "rain"}


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("A Dog, barks!", "dog"),
        ("Heavy rain, and a dog.", "rain"),
        ("A dog in the rain", None),
        ("something loud", None),
        ("", None),
        ("dog dog dog in heavy rain", "rain"),
    ],
)
def test_a_caption_names_the_kind_that_it_has_most_words_of(caption, kind):
    assert named_kind(caption, words_of_kinds(CAPTIONS)) == kind


def test_the_file_name_says_the_kind():
    assert kind_of("dog bark 1-100032-A.ogg", re.compile(r"^(.+?) [0-9]")) == "dog bark"
    for pattern in (r"^(.+?)@", r"^dog"):
        with pytest.raises(UserError, match=r"does not say the kind of 'dog bark 1\.ogg'"):
            kind_of("dog bark 1.ogg", re.compile(pattern))
