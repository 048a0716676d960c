"""Everything that is measured of classified recordings: every system, and the differences of one from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tasks.classification.compared import ComparedSystems
from tasks.classification.systems import SystemAnswers
from utils.metric_utils.classification.abstention import abstention_curve
from utils.metric_utils.classification.calibration import error_if_calibrated, with_temperature
from utils.metric_utils.classification.counts import ClassCounts
from utils.metric_utils.classification.resampling import (
    ECE,
    Answers,
    Difference,
    metric_differences,
    metric_intervals,
)
from utils.metric_utils.intervals import Interval

LEVEL = 0.95
ECE_CALIBRATED = "ece_calibrated"
_WINDOW_METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
# Shares of recordings that are answered, of which the accuracy is written.
_SHARES = (0.5, 0.7, 0.8, 0.9)


class Cost(NamedTuple):
    """What one recording costs, from the file to its category."""

    recordings: int  # measured, one after the other
    seconds: float  # the mean
    sound_s: float  # their mean duration
    peak_memory_mb: float | None  # of the process, or of the GPU; None: not known on this machine
    device: str

    def as_json(self) -> dict[str, Any]:
        """The same, as the file of results holds it."""
        return {
            "seconds_per_recording": self.seconds,
            "seconds_of_sound": self.sound_s,
            "peak_memory_mb": self.peak_memory_mb,
            "device": self.device,
            "recordings_timed": self.recordings,
        }


@dataclass(frozen=True, eq=False)
class SystemResult:
    """One system on N recordings.

    Attributes:
        answers: of the recordings.
        calibrated: the same with the temperature of validation.
        temperature: above 1: the system was too confident on validation.
        windows: metrics of single windows; empty: the system knows none.
        selected: `training.select_on` on validation; None: nothing was chosen by it.
        intervals: metric -> interval of the choice of recordings; empty if there is one cluster of them.
    """

    answers: Answers
    calibrated: Answers
    temperature: float
    windows: Mapping[str, float]
    selected: float | None
    intervals: Mapping[str, Interval]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """All metrics."""
        found = self.answers.metrics()
        return found | {ECE_CALIBRATED: self.calibrated.metrics()[ECE], **self.windows}

    def as_json(self) -> dict[str, Any]:
        """The same, as the file of results holds it; intervals are beside."""
        confidence, right = self.answers.confidence, self.answers.right
        curve = abstention_curve(confidence, right)
        return {
            **self.metrics,
            "temperature": self.temperature,
            "ece_if_calibrated": error_if_calibrated(confidence),
            "accuracy_at_share": {str(share): curve.at(share) for share in _SHARES},
            "selected_on_validation": self.selected,
        }


@dataclass(frozen=True, eq=False)
class ClassificationResults:
    """Everything that was measured.

    Attributes:
        compared: the systems and recordings.
        systems: name -> result.
        differences: name of another system -> metric -> `own` less that one, paired by recording.
        cost: of `own`; None: its input cannot be made of a file here.
        notes: lines about what is left out.
    """

    compared: ComparedSystems
    systems: Mapping[str, SystemResult]
    differences: Mapping[str, Mapping[str, Difference]]
    cost: Cost | None
    notes: list[str]

    @property
    def own(self) -> SystemResult:
        """The system of the command line."""
        return self.systems[self.compared.own]

    @property
    def counts(self) -> ClassCounts:
        """Of each class, by `own`."""
        return ClassCounts.of(self.own.answers.confusion)

    def as_json(self, made_from: Mapping[str, Any]) -> dict[str, Any]:
        """The same, as the file of results holds it.

        Args:
            made_from: split, checkpoint, ...
        """
        counts = self.counts
        return {
            "systems": {name: result.as_json() for name, result in self.systems.items()},
            "intervals": {name: dict(result.intervals) for name, result in self.systems.items()},
            "level": LEVEL,
            "chosen": self.compared.chosen,
            "own": self.compared.own,
            "differences": {
                name: {metric: found._asdict() for metric, found in differences.items()}
                for name, differences in self.differences.items()
            },
            "classes": {
                name: {
                    "precision": _known(counts.precision[row]),
                    "recall": _known(counts.recall[row]),
                    "f1": _known(counts.f1[row]),
                    "recordings": int(counts.support[row]),
                }
                for row, name in enumerate(self.compared.classes)
            },
            "recordings": len(self.compared.recordings),
            "clusters": len(np.unique(self.compared.clusters)),
            "cost": None if self.cost is None else self.cost.as_json(),
            "notes": self.notes,
            "made_from": dict(made_from),
        }


def measure_systems(compared: ComparedSystems, cost: Cost | None, notes: list[str]) -> ClassificationResults:
    """Measure all systems.

    Args:
        compared: their answers.
        cost: see `ClassificationResults`.
        notes: further lines about what is left out.
    """
    systems = {name: _result(compared, answers) for name, answers in compared.systems.items()}
    several = _several(compared)
    own = systems[compared.own].answers
    differences = {
        name: metric_differences(result.answers, own, compared.clusters, level=LEVEL) if several else {}
        for name, result in systems.items()
        if name != compared.own
    }
    return ClassificationResults(compared, systems, differences, cost, [*compared.notes, *notes])


def _several(compared: ComparedSystems) -> bool:
    return len(np.unique(compared.clusters)) > 1


def _result(compared: ComparedSystems, system: SystemAnswers) -> SystemResult:
    targets, temperature = compared.targets, system.temperature
    answers = Answers.of(system.log_probs, targets)
    calibrated = Answers.of(with_temperature(system.log_probs, temperature), targets)
    windows = {}
    if system.windows is not None:
        logits, recording = system.windows
        found = Answers.of(logits, targets[recording]).metrics()
        windows = {f"window_{metric}": found[metric] for metric in _WINDOW_METRICS} | {"windows": float(len(logits))}
    intervals = {}
    if _several(compared):
        intervals = metric_intervals(answers, compared.clusters, level=LEVEL)
        intervals[ECE_CALIBRATED] = metric_intervals(calibrated, compared.clusters, level=LEVEL)[ECE]
    return SystemResult(answers, calibrated, temperature, windows, system.selected, intervals)


def _known(value: float) -> float | None:
    """The number, or None where it is not defined."""
    return None if np.isnan(value) else float(value)
