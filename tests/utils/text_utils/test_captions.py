"""The spelling of captions."""

import unicodedata

import pytest

from utils.text_utils import normalise_caption


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A dog barks, twice!", "a dog barks twice"),
        ("  It's the neighbour’s co-worker's DOG. ", "it's the neighbour’s co-worker's dog"),
        ("rock 'n' roll -- 5,000 times", "rock n roll 5 000 times"),
        ("Ein Café; große Glocke — 鐘", "ein café große glocke 鐘"),
        ("None", "none"),
        ("...?!", ""),
        ("", ""),
    ],
)
def test_normalise_caption_by_hand(raw, text):
    assert normalise_caption(raw) == text
    assert normalise_caption(unicodedata.normalize("NFD", raw)) == text
    assert normalise_caption(text) == text
