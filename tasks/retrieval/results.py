"""What is reported of a split: every metric with its chance and its intervals, and what it was measured on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tasks.base import RunSpec
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.retrieval.evaluation import Direction, Evaluation
from tasks.retrieval.scores import SplitScores
from utils.metric_utils.intervals import Interval
from utils.metric_utils.pairing import SelectedCandidates, first_caption_of_each_clip, pairing_accuracy

TEXT_TO_AUDIO, AUDIO_TO_TEXT = "text_to_audio", "audio_to_text"


@dataclass(frozen=True)
class DirectionResults:
    """One direction.

    Attributes:
        metrics: name -> value.
        chance: name -> the value of a random order, in closed form.
        intervals: bootstrap and jackknife -> name of a metric -> its 95 % interval.
        chance_drawn: accuracy@k of one random order; empty where accuracy is not measured.
        factor_over_chance: accuracy@k divided by its chance; empty where accuracy is not measured.
    """

    metrics: dict[str, float]
    chance: dict[str, float]
    intervals: dict[str, dict[str, Interval]]
    chance_drawn: dict[str, float] = field(default_factory=dict)
    factor_over_chance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RetrievalResults:
    """Everything that was measured of a split.

    Attributes:
        directions: text_to_audio, and audio_to_text where all scores are known.
        evaluation: by which protocol, and with which relevant clips.
        left_out_clips: how many clips have no scores.
        left_out_captions: how many captions these have.
        made_from: split, checkpoint and score file.
    """

    directions: dict[str, DirectionResults]
    evaluation: Evaluation
    left_out_clips: int
    left_out_captions: int
    made_from: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same, as the file of results holds it."""
        protocol, directions = self.evaluation.protocol, self.directions
        drawn = {name: found.chance_drawn for name, found in directions.items() if found.chance_drawn}
        factors = {name: found.factor_over_chance for name, found in directions.items() if found.factor_over_chance}
        return {
            **{name: found.metrics for name, found in directions.items()},
            "chance": {name: found.chance for name, found in directions.items()},
            "intervals": {"level": 0.95, **{name: found.intervals for name, found in directions.items()}},
            **_ceiling(self.evaluation),
            "protocol": {"name": protocol.name, "leading": protocol.leading},
            "left_out": {"clips": self.left_out_clips, "captions": self.left_out_captions},
            "made_from": self.made_from,
            **({"chance_drawn": drawn, "factor_over_chance": factors} if drawn else {}),
            **_relevance(self.evaluation),
        }


def results_of(evaluation: Evaluation, scores: SplitScores, run: RunSpec) -> RetrievalResults:
    """Measure both directions; audio to text also by accuracy@k, where the run's system is measured by it."""
    directions = {TEXT_TO_AUDIO: _measured(evaluation.text_to_audio)}
    if evaluation.audio_to_text is not None:
        backward = _measured(evaluation.audio_to_text)
        if isinstance(run, DualEncoderRun) and run.accuracy_cutoffs:
            backward = _with_accuracy(backward, scores, run)
        directions[AUDIO_TO_TEXT] = backward
    return RetrievalResults(
        directions,
        evaluation,
        len(scores.left_out),
        len(scores.tables.captions) - len(scores.captions_to_score),
        {"split": scores.split, "checkpoint": scores.label, "scores": str(scores.path)},
    )


def _measured(direction: Direction) -> DirectionResults:
    return DirectionResults(direction.metrics(), direction.chance(), direction.intervals())


def _with_accuracy(found: DirectionResults, scores: SplitScores, run: DualEncoderRun) -> DirectionResults:
    """The same with accuracy@k of each clip's own caption, and its chance, among the other numbers."""
    first = first_caption_of_each_clip(scores.clip_of_caption, len(scores.clips))
    batch_size = min(run.training.batch_size, len(first))
    source = SelectedCandidates(scores.audio_to_text(), first)
    accuracy = pairing_accuracy(source, batch_size, cutoffs=run.accuracy_cutoffs)
    counts = {"accuracy_candidates": len(first), "accuracy_batch": batch_size}
    return DirectionResults(
        {**found.metrics, **accuracy.measured, **counts},
        {**found.chance, **accuracy.chance},
        found.intervals,
        accuracy.chance_drawn,
        accuracy.factor,
    )


def _ceiling(evaluation: Evaluation) -> dict[str, Any]:
    """What captions that several clips have leave to be reached; nothing where there are none."""
    if evaluation.shared is None:
        return {}
    return {"ceiling": {TEXT_TO_AUDIO: evaluation.shared.ceiling, "captions": int(evaluation.shared.is_shared.sum())}}


def _relevance(evaluation: Evaluation) -> dict[str, Any]:
    """What the relevance lists hold, where they say which clips are relevant."""
    matched = evaluation.judgements.matched
    if matched is None:
        return {}
    return {
        "relevance": {
            "file": str(evaluation.judgements.file),
            "queries": len(matched.rows),
            "relevant_pairs": len(matched.item_index),
            "mean_relevant": len(matched.item_index) / len(matched.rows),
            "unmatched": matched.unmatched,
            "duplicates": matched.duplicates,
            "unknown_files": matched.unknown_files,
            "without_clips": matched.without_clips,
        }
    }
