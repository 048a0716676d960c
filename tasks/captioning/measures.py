"""All metrics of captions in one call: those of words, and those of two frozen networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from models.frozen.bert_scores import BertScorer, load_bert_scorer
from models.frozen.text import FrozenTextEncoder
from models.frozen.text_loading import load_frozen_text
from utils.metric_utils.captions.bleu import bleu
from utils.metric_utils.captions.cider import CIDER_D, cider_d
from utils.metric_utils.captions.embeddings import (
    MAX_FLOOR,
    RESCALED,
    SIMILARITY,
    EmbedOnce,
    EmbedTexts,
    bert_score,
    sentence_similarity,
    shuffled_references,
)
from utils.metric_utils.captions.rouge import rouge_l
from utils.metric_utils.captions.statistics import Statistics
from utils.pretrained_utils import model_revision


@dataclass(frozen=True)
class WordMeasure:
    """Computes CIDEr-D, BLEU-1 to BLEU-4 and ROUGE-L: metrics of the words alone, without a network.

    Attributes:
        corpus: the references of each clip of the split, also of those that are not measured: what document
            frequencies are counted in.
        absent: metrics that cannot be computed; none.
    """

    corpus: Sequence[Sequence[str]]
    absent: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Mapping[str, Statistics]:
        """CIDEr-D, BLEU-1 to BLEU-4 and ROUGE-L."""
        return {
            CIDER_D: cider_d(hypotheses, references, self.corpus),
            **bleu(hypotheses, references),
            "ROUGE-L": rouge_l(hypotheses, references),
        }


@dataclass(frozen=True)
class CaptionMeasure:
    """Computes all metrics of hypotheses for clips of the split that it was made for.

    Attributes:
        words: the metrics of words.
        scorer: of BERTScore.
        encoder: of sentences.
        embed: the same, which embeds a text once: of the model and both baselines, the references are the same.
        floor: BERTScore of people's captions of other clips, by which it is rescaled.
    """

    words: WordMeasure
    scorer: BertScorer
    encoder: FrozenTextEncoder
    embed: EmbedTexts
    floor: float

    @classmethod
    def of(cls, scorer: BertScorer, encoder: FrozenTextEncoder, corpus: Sequence[Sequence[str]]) -> CaptionMeasure:
        """Measure the floor of the references of all clips of a split once."""
        floor = shuffled_references(corpus, scorer.f1)
        return cls(WordMeasure(corpus), scorer, encoder, EmbedOnce(encoder.vectors), floor)

    @property
    def absent(self) -> dict[str, str]:
        """Metric -> why it cannot be computed."""
        if self.floor <= MAX_FLOOR:
            return {}
        why = f"people's captions of other clips have a BERTScore of {self.floor:.4f}: there is nothing to rescale by"
        return {RESCALED: why}

    def __call__(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Mapping[str, Statistics]:
        """CIDEr-D, BLEU-1 to BLEU-4, ROUGE-L, BERTScore raw and rescaled, and sentence similarity."""
        return {
            **self.words(hypotheses, references),
            **bert_score(hypotheses, references, self.scorer.f1, self.floor),
            SIMILARITY: sentence_similarity(hypotheses, references, self.embed),
        }

    def facts(self) -> dict[str, str | int | float]:
        """What made the metrics, as the file of results notes it."""
        return {
            "bert_model": self.scorer.model,
            "bert_revision": model_revision(self.scorer.model),
            "bert_layers": self.scorer.layers,
            "bert_floor": self.floor,
            "sentence_model": self.encoder.name,
            "sentence_revision": model_revision(self.encoder.name),
        }


def load_measure(
    bert_model: str, bert_layers: int, sentence_model: str, device: torch.device, corpus: Sequence[Sequence[str]]
) -> CaptionMeasure:
    """Load both networks, and measure the floor of the references of all clips of a split.

    Raises:
        UserError: a model cannot be loaded, takes no text, or has fewer layers.
    """
    scorer = load_bert_scorer(bert_model, bert_layers, "--bert-model", device)
    encoder = load_frozen_text(sentence_model, "--sentence-model", device)
    return CaptionMeasure.of(scorer, encoder, corpus)
