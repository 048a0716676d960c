"""Classify labelled clips by a dual encoder: embed clips and prompts, compare them, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.embedding import DualEncoderEmbedder, not_finite
from tasks.trained import TrainedRun
from utils.artefact_utils import Clip, EmbeddingSource, read_audio_embeddings
from utils.artefact_utils.foreign_embeddings import open_foreign
from utils.cli_utils import UserError
from utils.dataset_utils.labelled_clips import LabelledClips
from utils.metric_utils.classification.label_scores import (
    MEAN_AP,
    chance_of_classification,
    class_accuracies,
    class_average_precisions,
    classification_intervals,
    classification_metrics,
    has_one_label,
    label_ranks,
)
from utils.metric_utils.intervals import Interval
from utils.metric_utils.scores import EmbeddingScores, NonFiniteEmbeddingError
from utils.report_utils import progress_bar
from utils.text_utils.prompts import prompts_of

Array = NDArray[np.float32]


class EmbeddedClips(NamedTuple):
    """Clips in the space of the captions."""

    embeddings: Array  # (N, E); rows of clips that are left out are zero
    left_out: dict[str, str]  # file name -> reason


class ClassifiedClips(NamedTuple):
    """Clips that were embedded, and their similarity to each label."""

    clips: LabelledClips
    scores: Array  # (N, K) cosine
    left_out: dict[str, str]  # file name -> reason


@dataclass(frozen=True)
class ClassResult:
    """How well the clips of one label are found; the numbers of a label without clips are None."""

    clips: int
    accuracy: float | None
    average_precision: float | None

    @property
    def hardness(self) -> tuple[float, float]:
        """A sort key: the hardest label first, those without clips last."""
        if self.accuracy is None or self.average_precision is None:
            return (2.0, 2.0)
        return (self.accuracy, self.average_precision)


@dataclass(frozen=True)
class ZeroShotResults:
    """What was measured.

    Attributes:
        leading: the metric to report first: accuracy, or mean AP where a clip may have several labels.
        metrics: name -> value.
        chance: name -> the value of a random order.
        intervals: name -> 95 % interval, of recordings drawn with all their clips; empty of one recording.
        clips: how many were classified.
        recordings: how many they were cut from.
        classes: label -> how well its clips are found.
        left_out: file name -> why the clip was not classified.
    """

    leading: str
    metrics: dict[str, float]
    chance: dict[str, float]
    intervals: dict[str, Interval]
    clips: int
    recordings: int
    classes: dict[str, ClassResult]
    left_out: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same, as the file of results holds it."""
        return {
            "leading": self.leading,
            "metrics": self.metrics,
            "chance": self.chance,
            "intervals": {"level": 0.95, "bootstrap": {key: list(found) for key, found in self.intervals.items()}},
            "clips": self.clips,
            "recordings": self.recordings,
            "classes": {
                label: {"clips": found.clips, "accuracy": found.accuracy, "AP": found.average_precision}
                for label, found in self.classes.items()
            },
            "left_out": self.left_out,
        }


def class_vectors(embedder: DualEncoderEmbedder, labels: Sequence[str], templates: Sequence[str]) -> Array:
    """Embed labels as (K, E) float32 unit vectors: of each, the mean over the unit vectors of its prompts.

    Source: prompt ensembling of CLIP (Radford et al. 2021, section 3.1.4); zero-shot classification of LAION-CLAP.
    """
    prompts = [prompt for label in labels for prompt in prompts_of(label, templates)]
    vectors = embedder.texts(prompts).reshape(len(labels), len(templates), -1)  # (K, P, E)
    return _unit(_unit(vectors).mean(axis=1))


def _unit(vectors: Array) -> Array:
    """Scale vectors to length 1; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = vectors / np.maximum(length, np.finfo(np.float32).tiny)
    return unit


def embed_sounds(task: DualEncoderTask, clips: LabelledClips, folder: Path, workers: int) -> EmbeddedClips:
    """Embed clips by the run's own audio encoder; draws a progress bar.

    Args:
        task: with trained weights.
        clips: N of them.
        folder: of their sound files.
        workers: threads that decode.
    """
    there = [row for row, name in enumerate(clips.names) if (folder / name).is_file()]
    missing = sorted(set(range(len(clips))) - set(there))
    table = np.zeros((len(clips), task.dual_encoder.out_dim), np.float32)
    with progress_bar(len(there), "embedding", "clip", disable=not there) as bar:
        found = task.embedder.sounds([folder / clips.names[row] for row in there], workers, bar.update)
    table[there] = found.embeddings
    reasons = dict.fromkeys(missing, f"is not in {folder}") | {there[n]: why for n, why in found.refused.items()}
    return EmbeddedClips(table, {clips.names[row]: reasons[row] for row in sorted(reasons)})


def embed_vectors(
    task: DualEncoderTask, trained: TrainedRun[DualEncoderRun], clips: LabelledClips, path: Path
) -> EmbeddedClips:
    """Embed vectors of clips that a file holds.

    Args:
        task: with trained weights, of a run on vectors.
        trained: the run.
        clips: N of them.
        path: the file.
    Raises:
        UserError: it holds none of the clips, or vectors of another width than those of the training.
    """
    repair = "name a file with the vectors of these clips with --embeddings"
    wanted = [Clip(name, Path(name).name, name, 0.0, 0, 0, name) for name in clips.names]
    with open_foreign(path, repair) as foreign:
        known = foreign.keys_among(key for clip in wanted for key in _keys(clip, trained.split))
    held = [row for row, clip in enumerate(wanted) if any(key in known for key in _keys(clip, trained.split))]
    rows = held or list(range(len(wanted)))  # without any, the reader says what it looked for
    source = EmbeddingSource(path, None, None, repair, trained.run.data.features)
    table = read_audio_embeddings(source, [wanted[row] for row in rows], trained.split)
    width = task.data(trained.split).audio.width
    if table.vectors.shape[1] != width:
        raise UserError(
            f"{path}: holds vectors of {table.vectors.shape[1]} dimensions, the run was trained on {width}; {repair}"
        )
    audio = np.zeros((len(wanted), task.dual_encoder.out_dim), np.float32)
    audio[rows] = task.embedder.vectors(table.vectors)
    reasons = {clips.names[row]: f"is not in {path}" for row in sorted(set(range(len(wanted))) - set(rows))}
    return EmbeddedClips(audio, reasons | table.left_out)


def _keys(clip: Clip, split: str) -> tuple[str, ...]:
    """The keys under which a file of vectors may have a clip."""
    return clip.fname, clip.path, f"{split}/{clip.fname}"


def classify(checkpoint: str, clips: LabelledClips, embedded: EmbeddedClips, classes: Array) -> ClassifiedClips:
    """Compare the clips that could be embedded with the labels.

    Args:
        checkpoint: which weights, for messages.
        clips: N of them.
        embedded: the same clips.
        classes: (K, E) of `class_vectors`.
    Raises:
        UserError: no clip could be embedded, or an embedding is not finite.
    """
    held = np.array([name not in embedded.left_out for name in clips.names])
    if not held.any():
        name, reason = next(iter(embedded.left_out.items()))
        raise UserError(f"none of the {len(clips)} clips can be embedded: {name} {reason}; correct --audio or --labels")
    clips = clips.take(held)
    try:
        source = EmbeddingScores(embedded.embeddings[held], classes, similarity="cosine")
    except NonFiniteEmbeddingError as error:
        name = clips.names[error.row] if error.side == "query" else clips.labels[error.row]
        raise not_finite(checkpoint, name, error.value) from error
    scores = np.concatenate([block.copy() for _, block in source.blocks()])
    return ClassifiedClips(clips, scores, embedded.left_out)


def measure(classified: ClassifiedClips, resamples: int) -> ZeroShotResults:
    """Measure how well the clips are classified.

    Args:
        classified: the clips.
        resamples: of the bootstrap.
    """
    clips, scores = classified.clips, classified.scores
    truth, clusters = clips.truth(), clips.clusters()
    several = len(np.unique(clusters)) > 1
    precisions = class_average_precisions(scores, truth)
    accuracies = class_accuracies(label_ranks(scores, truth), truth)
    counts = truth.sum(axis=0)
    return ZeroShotResults(
        leading="accuracy" if has_one_label(truth) else MEAN_AP,
        metrics=classification_metrics(scores, truth),
        chance=chance_of_classification(truth),
        intervals=classification_intervals(scores, truth, clusters, resamples) if several else {},
        clips=len(clips),
        recordings=int(clusters.max()) + 1,
        classes={
            label: ClassResult(int(counts[k]), _known(accuracies[k]), _known(precisions[k]))
            for k, label in enumerate(clips.labels)
        },
        left_out=classified.left_out,
    )


def _known(value: float) -> float | None:
    """The number, or None of a label without clips."""
    return None if np.isnan(value) else float(value)
