"""Systems on the same recordings: those that every system has classified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.classification.run import ClassificationRun
from tasks.classification.systems import (
    MAJORITY,
    MFCC,
    SystemAnswers,
    classifier_answers,
    majority_answers,
    mfcc_answers,
)
from tasks.classification.task import ClassificationTask
from tasks.trained import TrainedRun
from utils.artefact_utils.labels import LabelledRecording, read_labels
from utils.cli_utils import ArtefactError, UserError
from utils.cli_utils.repairs import make
from utils.dataset_utils.video_list import address_key


class TrainedClassifier(NamedTuple):
    """A trained run with its task."""

    name: str  # of its experiment
    trained: TrainedRun[ClassificationRun]
    task: ClassificationTask

    @property
    def run(self) -> ClassificationRun:
        """The run of the trial."""
        return self.trained.run


@dataclass(frozen=True, eq=False)
class ComparedSystems:
    """Systems with an answer for each of N recordings.

    Attributes:
        own: name of the system of the command line.
        classes: K names.
        recordings: N, in the order of labels.csv.
        targets: (N,) the right classes.
        clusters: (N,) recordings of one channel, or of one address or file, have the same number.
        systems: name -> answers; `own`, the other classifiers, the baselines.
        chosen: the classifier that is best on validation.
        notes: lines about what is left out.
    """

    own: str
    classes: tuple[str, ...]
    recordings: list[LabelledRecording]
    targets: NDArray[np.int64]
    clusters: NDArray[np.int64]
    systems: Mapping[str, SystemAnswers]
    chosen: str
    notes: Sequence[str]


def load_classifier(trained: TrainedRun[ClassificationRun], *, measures: bool = True) -> TrainedClassifier:
    """Build the task of a trained run.

    Args:
        trained: the run and its checkpoint.
        measures: as of `TrainedRun.task`.
    Raises:
        UserError: see `TrainedRun.task`.
    """
    task = trained.task(measures=measures)
    assert isinstance(task, ClassificationTask)
    return TrainedClassifier(trained.trial.folder.resolve().parent.name, trained, task)


def compare_systems(own: TrainedClassifier, others: Sequence[TrainedClassifier]) -> ComparedSystems:
    """Classify a split with all systems.

    Args:
        own: the classifier of the command line, which chooses the split.
        others: further ones of the same recordings and classes.
    Raises:
        UserError: they are not of the same recordings or classes, or no recording has an answer of every system.
    """
    split, run = own.trained.split, own.run
    _check_names([own, *others])
    labels = {one.fid: one for one in read_labels(run.data.labels, make("tables"), split)}
    for other in others:
        _check_same(own, other, labels)
    systems = [classifier_answers(one.name, one.run, one.task, split) for one in (own, *others)]
    chosen = _chosen(systems, run)
    systems.append(majority_answers(own.task, split))
    notes = []
    try:
        made_by = own.trained.command_for(run.script_of("scores"))
        systems.append(mfcc_answers(run, own.task, split, made_by))
    except UserError as error:  # the recordings themselves may be elsewhere by now
        notes.append(f"{MFCC} is left out: {error}")
    fids, left_out = _common(list(labels), systems)
    recordings = [labels[fid] for fid in fids]
    number = {name: index for index, name in enumerate(own.task.classes)}
    return ComparedSystems(
        own=own.name,
        classes=own.task.classes,
        recordings=recordings,
        targets=np.array([number[one.category] for one in recordings], np.int64),
        clusters=clusters_of(recordings),
        systems={system.name: system.of_recordings(fids) for system in systems},
        chosen=chosen,
        notes=[*notes, *left_out],
    )


def clusters_of(recordings: Sequence[LabelledRecording]) -> NDArray[np.int64]:
    """Number the (N,) recordings by what is drawn together: their channel; else their address; else each by itself.

    Sections of one recording have its address, or the name of the local file that they were cut from.
    """
    keys = [
        ("channel", one.channel) if one.channel else ("address", address_key(one.url)) if one.url else ("file", one.fid)
        for one in recordings
    ]
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _check_names(classifiers: Sequence[TrainedClassifier]) -> None:
    """Refuse two systems of one name.

    Raises:
        UserError: there are some.
    """
    taken: dict[str, Path | None] = {MAJORITY: None, MFCC: None}
    for one in classifiers:
        folder = one.trained.trial.folder.parent
        if one.name in taken:
            other = taken[one.name]
            by = "a baseline" if other is None else str(other)
            raise UserError(
                f"{folder}: its name '{one.name}' is also that of {by}; rename the folder of the experiment"
            )
        taken[one.name] = folder


def _check_same(own: TrainedClassifier, other: TrainedClassifier, labels: Mapping[str, LabelledRecording]) -> None:
    """Refuse a system of other classes, or of another list.

    Raises:
        UserError: it is.
    """
    folder = other.trained.trial.folder.parent
    if other.task.classes != own.task.classes:
        differ = sorted(set(other.task.classes) ^ set(own.task.classes))
        found = f"such as '{differ[0]}'" if differ else "in another order"
        raise UserError(
            f"--beside {folder}: has other classes than {own.trained.trial.folder.parent}, {found}; name experiments "
            "on the same recordings"
        )
    split, data = own.trained.split, other.run.data
    if data.labels == own.run.data.labels:
        return
    for theirs in read_labels(data.labels, make("tables"), split):
        mine = labels.get(theirs.fid)
        if mine is None or (mine.path, mine.category) != (theirs.path, theirs.category):
            raise UserError(
                f"--beside {folder}: {data.labels} has {theirs.path} in '{split}', which {own.run.data.labels} has "
                "not; name experiments on the same recordings"
            )


def _chosen(systems: Sequence[SystemAnswers], run: ClassificationRun) -> str:
    """The classifier whose `training.select_on` is best on validation; of equal ones the first."""
    sign = 1 if run.training.higher_is_better[run.training.select_on] else -1
    return max(systems, key=lambda system: sign * (system.selected or 0.0)).name


def _common(fids: Sequence[str], systems: Sequence[SystemAnswers]) -> tuple[list[str], list[str]]:
    """The recordings that every system has, and a line where others are left out.

    Raises:
        ArtefactError: there are none.
    """
    held = set.intersection(*(set(system.fids) for system in systems))
    common = [fid for fid in fids if fid in held]
    if not common:
        raise ArtefactError(f"no recording has an answer of every system; write the features again: {make('log-mels')}")
    left_out = len(fids) - len(common)
    return common, [f"{left_out} of {len(fids)} recordings are left out, which a system refuses"] if left_out else []
