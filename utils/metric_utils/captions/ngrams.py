"""Count the n-grams of many captions at once, as sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array


def ngram_counts(captions: Sequence[Sequence[str]], longest: int = 4) -> list[csr_array]:
    """Count the n-grams of C captions, given as words.

    Returns:
        For n = 1 to `longest`: (C, number of distinct n-grams) float64, how often each caption has each n-gram. The
        columns of all captions agree; their order has no meaning.
    """
    vocabulary: dict[str, int] = {}
    words = np.array([vocabulary.setdefault(w, len(vocabulary)) for words in captions for w in words], np.int64)
    lengths = np.array([len(words) for words in captions], np.int64)
    row = np.repeat(np.arange(len(captions)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words))  # words from here to the caption's end
    found, ids = [], words
    for n in range(1, longest + 1):
        starts = np.flatnonzero(left >= n)
        if n > 1:
            # An n-gram is an (n - 1)-gram and a word. Numbering the pairs anew keeps the ids below C * L, so that the
            # product does not overflow for any n.
            pairs = ids[starts] * len(vocabulary) + words[starts + n - 1]
            ids = np.zeros_like(words)
            ids[starts] = np.unique(pairs, return_inverse=True)[1]
        width = int(ids[starts].max(initial=-1)) + 1
        entries = (np.ones(len(starts)), (row[starts], ids[starts]))
        found.append(csr_array(entries, shape=(len(captions), width)))  # sums equal places
    return found
