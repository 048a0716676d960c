"""BLEU-1 to BLEU-4 of the corpus: clipped precisions of n-grams and a penalty of brevity, with several references.

Higher is better, 0 to 1 (sacrebleu's own scale is 0 to 100). Counts and lengths of all clips are added before anything
is divided, and nothing is smoothed, as is customary for captions: BLEU-4 is 0 where no hypothesis shares four words in
a row with its references. The length of the references is that of the reference closest to the hypothesis, the shorter
of two as close.

Source: Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002; Post, "A call for
    clarity in reporting BLEU scores", WMT 2018 (sacrebleu).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np

from utils.metric_utils.captions.statistics import Statistics
from utils.metric_utils.captions.tokens import check_captions, joined_words
from utils.metric_utils.checks import Values

_LONGEST = 4


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Statistics]:
    """Compute BLEU-1 to BLEU-4 of the corpus; equal to sacrebleu's on the same words, without smoothing.

    Args:
        hypotheses: (N,) captions.
        references: (N,) the references of each clip, any number of them.
    Returns:
        The statistics of each, all with the same values (N, 10): words, words of the closest reference, n-grams that
        the references have too (n = 1 to 4), and all n-grams.
    Raises:
        ValueError: as of `check_captions`.
    """
    from sacrebleu.metrics.bleu import BLEU

    check_captions(hypotheses, references)
    # One stream holds the n-th reference of every clip, None where a clip has fewer.
    streams = zip_longest(*([joined_words(text) for text in of_clip] for of_clip in references))
    # The sums of each clip are not public in sacrebleu, whose own bootstrap takes them from here too.
    counts = BLEU(tokenize="none", force=True, max_ngram_order=_LONGEST)._extract_corpus_statistics(
        [joined_words(text) for text in hypotheses],
        list(streams),
    )
    values = np.array(counts, np.float64)
    return {f"BLEU-{n}": Statistics(values, _combine(n)) for n in range(1, _LONGEST + 1)}


def _combine(longest: int) -> Callable[[Values], Values]:
    """Return the function of sums (..., 10) that gives BLEU with n-grams up to `longest`."""

    def combine(sums: Values) -> Values:
        words, of_references = sums[..., 0], sums[..., 1]
        correct, total = sums[..., 2 : 2 + longest], sums[..., 2 + _LONGEST : 2 + _LONGEST + longest]
        # log 0 = -inf carries through: a precision of 0, or no n-gram at all, makes BLEU 0
        with np.errstate(divide="ignore"):
            precision = np.log(correct / np.maximum(total, 1)).mean(axis=-1)
        brevity = np.minimum(0, 1 - of_references / np.maximum(words, 1))
        return np.asarray(np.exp(precision + brevity))

    return combine
