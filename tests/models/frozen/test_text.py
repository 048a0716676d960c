"""Captions through a text encoder: in order, each distinct one once, by their tokens."""

import numpy as np

from models.frozen.text import FrozenTextEncoder, encode_captions


class CountingEncoder(FrozenTextEncoder):
    """Maps a text to its length and first letter; a letter is a token; counts what passes."""

    def __init__(self, max_tokens=None):
        super().__init__("name", "counting", 2, max_tokens)
        self.batches = []

    def encode_batch(self, texts):
        self.batches.append(list(texts))
        return np.array([[len(text), ord(text[0])] for text in texts], np.float64)

    def token_counts(self, texts):
        return [len(text) for text in texts]


TEXTS = ["bb", "a", "cccc", "a", "bb", "dd", "a", "e"]


def test_captions_keep_their_order_and_equal_ones_are_encoded_once():
    encoder = CountingEncoder()
    chunks = list(encode_captions(encoder, TEXTS, chunk=4))
    assert [chunk.shape for chunk in chunks] == [(4, 2), (4, 2)]
    assert all(chunk.dtype == np.float32 for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate(chunks), [[len(text), ord(text[0])] for text in TEXTS])
    assert encoder.batches == [["cccc", "bb", "a"], ["bb", "dd", "a", "e"]]  # the longest first, in each chunk
    assert list(encode_captions(encoder, [])) == []


def test_batches_are_of_nearly_equal_lengths():
    encoder = CountingEncoder()
    texts = ["x" * n for n in (5, 1, 4, 2, 3)]
    vectors = encoder.vectors(texts)
    np.testing.assert_array_equal(vectors[:, 0], [5, 1, 4, 2, 3])
    assert vectors.dtype == np.float32
    list(encode_captions(encoder, texts, batch_size=2))
    assert [[len(text) for text in batch] for batch in encoder.batches[1:]] == [[5, 4], [3, 2], [1]]
    assert encoder.vectors([]).shape == (0, 2)


def test_texts_beyond_the_limit_are_counted_the_limit_itself_is_not():
    assert CountingEncoder(max_tokens=2).truncated(["a", "aa", "aaa", "aaa", "aaaa"]) == 3
    assert CountingEncoder(max_tokens=None).truncated(["a" * 10_000]) == 0
    assert CountingEncoder(max_tokens=2).truncated([]) == 0
