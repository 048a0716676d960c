"""CIDEr-D written from the paper, slowly: dictionaries, one pair of captions at a time."""

import math
from collections import Counter


def _ngrams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _vector(words, n, documents):
    """tf-idf of the n-grams of a caption: count * log(|I| / max(1, number of documents with the n-gram))."""
    vector = {}
    for ngram, count in _ngrams(words, n).items():
        holding = sum(any(ngram in _ngrams(text, n) for text in document) for document in documents)
        vector[ngram] = count * math.log(len(documents) / max(1, holding))
    return vector


def _norm(vector):
    return math.sqrt(sum(value**2 for value in vector.values()))


def cider_d_of_clip(hypothesis, references, documents):
    """Equation of section 8 of the paper, for captions given as lists of words."""
    total = 0.0
    for n in (1, 2, 3, 4):
        of_n = 0.0
        for reference in references:
            h, r = _vector(hypothesis, n, documents), _vector(reference, n, documents)
            if _norm(h) == 0 or _norm(r) == 0:
                continue
            overlap = sum(min(h[ngram], r[ngram]) * r[ngram] for ngram in h if ngram in r)
            penalty = math.exp(-((len(hypothesis) - len(reference)) ** 2) / (2 * 6**2))
            of_n += penalty * overlap / (_norm(h) * _norm(r))
        total += 10 * of_n / len(references)
    return total / 4
