"""Metrics that compare captions by the vectors of a frozen network: BERTScore and sentence similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.captions.baselines import other_clips
from utils.metric_utils.captions.statistics import Statistics, mean_of
from utils.metric_utils.captions.tokens import check_captions
from utils.metric_utils.checks import Values

BERT_SCORE, RESCALED, SIMILARITY = "BERTScore", "BERTScore_rescaled", "sentence_similarity"
# hypotheses, none empty, and references of each -> (N,) F1 with the best reference
MatchTokens = Callable[[Sequence[str], Sequence[Sequence[str]]], NDArray[np.float64]]
MAX_FLOOR = 0.99  # above it the rescaled values would be those of rounding, times 100 and more
EmbedTexts = Callable[[Sequence[str]], NDArray[np.float32]]  # n texts -> (n, E)


class EmbedOnce:
    """Embeds each text once, however often it comes: 1.5 kB for each, with vectors of 384 numbers.

    Args:
        embed: of a frozen network.
    """

    def __init__(self, embed: EmbedTexts) -> None:
        self._embed = embed
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the (n, E) vectors of n texts, at least one."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self._embed(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def bert_score(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], match: MatchTokens, floor: float
) -> dict[str, Statistics]:
    """Compute BERTScore, raw and rescaled; each the mean over clips of the F1 with the best reference.

    Raw values lie close together, since the vectors of any two captions are alike. Rescaled, (raw - floor) /
    (1 - floor), 0 is a caption of another clip and 1 the same caption.

    Args:
        hypotheses: (N,) captions; an empty one has a raw value of 0, and a rescaled one below 0.
        references: (N,) the references of each clip, any number of them.
        match: of a frozen network.
        floor: what people's captions of other clips reach, from `shuffled_references`.
    Returns:
        `BERTScore` up to 1, and `BERTScore_rescaled` up to 1, which is left out where the floor is above `MAX_FLOOR`;
        higher is better.
    Raises:
        ValueError: as of `check_captions`.

    Source: Zhang et al., "BERTScore: Evaluating text generation with BERT", ICLR 2020.
    """
    check_captions(hypotheses, references)
    raw = np.zeros(len(hypotheses))
    worded = [clip for clip, text in enumerate(hypotheses) if text.strip()]
    raw[worded] = match([hypotheses[clip] for clip in worded], [references[clip] for clip in worded])
    found = {BERT_SCORE: mean_of(raw)}
    return found if floor > MAX_FLOOR else {**found, RESCALED: mean_of((raw - floor) / (1 - floor))}


def shuffled_references(references: Sequence[Sequence[str]], match: MatchTokens) -> float:
    """Compute the mean BERTScore of people's captions of other clips: the floor of `bert_score`.

    Args:
        references: (N,) of each clip; the first one is compared with all references of another clip.
        match: of a frozen network.
    Returns:
        The mean; 0 of a single clip, where there is no other one.
    """
    if len(references) < 2:
        return 0.0
    return float(match([references[clip][0] for clip in other_clips(len(references))], references).mean())


def sentence_similarity(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], embed: EmbedTexts
) -> Statistics:
    """Compute the cosine similarity of sentence vectors, the mean over a clip's references; the metric is the mean.

    Args:
        hypotheses: (N,) captions; an empty one has 0.
        references: (N,) the references of each clip, any number of them.
        embed: of a frozen sentence encoder.
    Raises:
        ValueError: as of `check_captions`.

    Source: Zhou et al., "Can audio captions be evaluated with image caption metrics?", ICASSP 2022 (FENSE, without its
        penalty for errors of fluency).
    """
    check_captions(hypotheses, references)
    numbers = [len(of_clip) for of_clip in references]
    clip = np.repeat(np.arange(len(numbers)), numbers)
    said = _unit(embed(hypotheses)) * np.array([[bool(text.strip())] for text in hypotheses])
    people = _unit(embed([text for of_clip in references for text in of_clip]))
    return mean_of(np.bincount(clip, weights=(said[clip] * people).sum(axis=1)) / numbers)


def _unit(vectors: NDArray[np.float32]) -> Values:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
