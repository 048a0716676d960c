"""ROUGE-L: the longest common subsequence of the words of hypothesis and reference, as F1.

Higher is better, 0 to 1. Of several references the best counts, which is `score_multi` of rouge-score. The evaluation
code of COCO captions weighs recall more (beta 1.2) and takes precision and recall from different references; values of
it are not comparable with these.

Source: Lin, "ROUGE: a package for automatic evaluation of summaries", 2004; rouge-score of Google Research.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.metric_utils.captions.statistics import Statistics, mean_of
from utils.metric_utils.captions.tokens import check_captions, joined_words

ROUGE_L = "ROUGE-L"


class _Blanks:
    """Split words that were joined: rouge-score's own rules drop every letter but a to z."""

    def tokenize(self, text: str) -> list[str]:
        """Split at blanks."""
        return text.split()


def rouge_l(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
    """Compute ROUGE-L (F1, the best reference of each clip); the metric is the mean over clips.

    Args:
        hypotheses: (N,) captions; an empty one has 0.
        references: (N,) the references of each clip, any number of them.
    Raises:
        ValueError: as of `check_captions`.
    """
    from rouge_score.rouge_scorer import RougeScorer

    check_captions(hypotheses, references)
    scorer = RougeScorer(["rougeL"], tokenizer=_Blanks())
    values = [
        scorer.score_multi([joined_words(text) for text in of_clip], joined_words(hypothesis))["rougeL"].fmeasure
        for hypothesis, of_clip in zip(hypotheses, references, strict=True)
    ]
    return mean_of(np.array(values))
