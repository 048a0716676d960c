"""What a system says of the recordings of a split: a trained classifier, and two systems that any must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.classification.clips import ClassifiedClips
from tasks.classification.run import ClassificationRun
from tasks.classification.task import ClassificationOutputs, ClassificationTask
from utils.artefact_utils import read_clips
from utils.cli_utils.repairs import make
from utils.data_utils.clip_mfcc import mfcc_of_clips
from utils.metric_utils.classification.baselines import fit_logistic_regression, majority_log_probabilities
from utils.metric_utils.classification.calibration import fit_temperature
from utils.metric_utils.classification.windows import average_windows, log_probabilities
from utils.process_utils import all_cores
from utils.report_utils import progress_bar

Indices = NDArray[np.int64]
Values = NDArray[np.float64]

MAJORITY, MFCC = "majority", "mfcc"


@dataclass(frozen=True, eq=False)
class SystemAnswers:
    """What a system says of N recordings of the measured split and of M of validation.

    Attributes:
        name: of the system.
        fids: N.
        log_probs: (N, K) log-probabilities of the recordings.
        windows: (W, K) of their windows, and the (W,) recording of each; None: it knows no windows.
        validation: (M, K) log-probabilities.
        validation_targets: (M,) right classes.
        selected: what `training.select_on` was on validation; None: nothing was chosen by it.
    """

    name: str
    fids: Sequence[str]
    log_probs: Values
    windows: tuple[Values, Indices] | None
    validation: Values
    validation_targets: Indices
    selected: float | None = None

    @cached_property
    def temperature(self) -> float:
        """Of the recordings' probabilities, fitted on validation."""
        return fit_temperature(self.validation, self.validation_targets)

    def of_recordings(self, fids: Sequence[str]) -> SystemAnswers:
        """The same of some of the recordings, in another order."""
        row = {fid: number for number, fid in enumerate(self.fids)}
        rows = np.array([row[fid] for fid in fids], np.int64)
        windows = None
        if self.windows is not None:
            place = np.full(len(self.fids), -1)
            place[rows] = np.arange(len(rows))
            found = place[self.windows[1]]
            windows = self.windows[0][found >= 0], found[found >= 0]
        kept = (self.validation, self.validation_targets, self.selected)
        return SystemAnswers(self.name, list(fids), self.log_probs[rows], windows, *kept)


def classifier_answers(name: str, run: ClassificationRun, task: ClassificationTask, split: str) -> SystemAnswers:
    """Classify a split, and validation.

    Args:
        name: of the system.
        run: of the task.
        task: with trained weights, in eval mode.
        split: name of the split.
    """
    with torch.inference_mode(), progress_bar(2, f"classifying, {name}", "split") as bar:
        validation = task.outputs(run.data.splits.val)
        bar.update()
        measured = validation if split == run.data.splits.val else task.outputs(split)
        bar.update()
    return SystemAnswers(
        name,
        measured.fids,
        _of_recordings(measured),
        (log_probabilities(measured.windows.logits), measured.windows.recording),
        _of_recordings(validation),
        validation.targets,
        task.metrics(validation)[run.training.select_on],
    )


def _of_recordings(outputs: ClassificationOutputs) -> Values:
    return average_windows(outputs.windows.logits, outputs.windows.recording, len(outputs.targets))


def majority_answers(task: ClassificationTask, split: str) -> SystemAnswers:
    """The most frequent class of training, of every recording."""
    training, validation, measured = (task.data(role) for role in ("train", "val", split))
    found = [
        majority_log_probabilities(training.targets, len(task.classes), len(data.fids))
        for data in (measured, validation)
    ]
    return SystemAnswers(MAJORITY, measured.fids, found[0], None, found[1], validation.targets)


def mfcc_answers(run: ClassificationRun, task: ClassificationTask, split: str, made_by: str) -> SystemAnswers:
    """A logistic regression on statistics of the MFCC, whose penalty is chosen on validation.

    The statistics are computed where they are missing, and kept.

    Args:
        run: of the task.
        task: whose splits are used.
        split: name of the split.
        made_by: the command that computes the statistics again.
    Raises:
        UserError: a recording cannot be decoded, or the disk is too small.
    """
    training, validation, measured = (task.data(role) for role in ("train", "val", split))
    features = {data.name: _mfcc_of(run, data, made_by) for data in (training, validation, measured)}
    model = fit_logistic_regression(
        (features[training.name], training.targets),
        (features[validation.name], validation.targets),
        len(task.classes),
    )
    found = [model.log_probabilities(features[data.name]) for data in (measured, validation)]
    return SystemAnswers(MFCC, measured.fids, found[0], None, found[1], validation.targets)


def _mfcc_of(run: ClassificationRun, data: ClassifiedClips, made_by: str) -> NDArray[np.float32]:
    """(N, 140) of the recordings of a split; the file holds all of its table, whatever an encoder leaves out."""
    clips = read_clips(run.data.audio_info, data.name, make("tables"))
    table = mfcc_of_clips(run.data, data.name, clips, all_cores(), made_by=made_by)
    row = {clip.fid: number for number, clip in enumerate(clips)}
    return table[[row[fid] for fid in data.fids]]
