"""CIDEr-D: cosine similarity of tf-idf vectors of n-grams, clipped, with a penalty of other lengths.

Higher is better, 0 to 10: 10 where hypothesis and all references of a clip are the same caption of four words or more.

Where the paper and its published code differ, this follows the code, which all published values come from:

- The length of a caption is its number of bigrams. Only the difference of lengths matters, so this is the number of
  words, but that an empty caption is as long as one word.
- The number of documents is that of the clips; a document is all references of one clip. An n-gram in no document
  has a document frequency of 1. With a single clip every weight is log 1 = 0, and so is the value.
- The mean over n = 1 to 4 counts an n that a caption is too short for as 0.
- One length penalty of sigma 6 for every n, and a factor 10.

Not followed is the fixed number of documents of "coco-val-df": with a `corpus`, frequencies and their number are both
that of the corpus.

Source: Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based image description evaluation", CVPR 2015, section 8;
    github.com/vrama91/cider, pyciderevalcap/ciderD/ciderD_scorer.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from scipy.sparse import csr_array

from utils.metric_utils.captions.ngrams import ngram_counts
from utils.metric_utils.captions.statistics import Statistics, mean_of
from utils.metric_utils.captions.tokens import check_captions, words_of
from utils.metric_utils.checks import Indices, Values

CIDER_D = "CIDEr-D"

_LONGEST = 4
_SIGMA = 6.0
_FACTOR = 10.0


def cider_d(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], corpus: Sequence[Sequence[str]] | None = None
) -> Statistics:
    """Compute CIDEr-D; the metric is the mean over clips.

    Args:
        hypotheses: (N,) captions.
        references: (N,) the references of each clip, any number of them.
        corpus: the captions of each clip that the document frequencies are counted in, such as those for training;
            None: the references, as customary. Values with different corpora cannot be compared.
    Raises:
        ValueError: as of `check_captions`, or an empty corpus.
    """
    check_captions(hypotheses, references)
    if corpus is not None and not len(corpus):
        raise ValueError("the corpus of document frequencies is empty; expected the captions of at least one clip")
    documents = references if corpus is None else corpus
    texts = list(chain(hypotheses, chain.from_iterable(references), chain.from_iterable(corpus or [])))
    numbers = [len(of_clip) for of_clip in references]
    clip, end = np.repeat(np.arange(len(numbers)), numbers), len(hypotheses) + sum(numbers)
    document = np.repeat(np.arange(len(documents)), [len(of_clip) for of_clip in documents])
    counts = ngram_counts([words_of(text) for text in texts], _LONGEST)

    similarity = np.zeros(len(clip))
    for of_n in counts:
        counted = of_n[len(hypotheses) : end] if corpus is None else of_n[end:]
        weights = np.log(len(documents)) - np.log(np.maximum(1, _document_frequency(counted, document)))
        vectors = of_n[:end].multiply(weights).tocsr()
        similarity += _clipped_cosine(vectors[: len(hypotheses)][clip], vectors[len(hypotheses) :])
    lengths = np.asarray(counts[1].sum(axis=1))
    apart = lengths[: len(hypotheses)][clip] - lengths[len(hypotheses) : end]
    similarity *= np.exp(-(apart**2) / (2 * _SIGMA**2)) / _LONGEST
    return mean_of(_FACTOR * np.bincount(clip, weights=similarity) / numbers)


def _document_frequency(counts: csr_array, document: Indices) -> Indices:
    """Count for each of G n-grams the documents that have it: (G,).

    Args:
        counts: (M, G) of each caption.
        document: (M,) the document of each caption.
    """
    captions, ngrams = counts.nonzero()
    width = max(1, counts.shape[1])
    once = np.unique(document[captions] * width + ngrams) % width
    return np.bincount(once, minlength=counts.shape[1])


def _clipped_cosine(hypotheses: csr_array, references: csr_array) -> Values:
    """Compute sum(min(h, r) * r) / (|h| * |r|) for each of M pairs of (M, G) vectors, 0 for a vector of zeros: (M,)."""
    overlap = np.asarray(hypotheses.minimum(references).multiply(references).sum(axis=1))
    squares = np.asarray(hypotheses.power(2).sum(axis=1)) * np.asarray(references.power(2).sum(axis=1))
    return np.divide(overlap, np.sqrt(squares), out=np.zeros_like(overlap), where=squares > 0)
