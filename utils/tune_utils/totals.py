"""What a trial came to over all its epochs: how many, how long, the mean and the best of its losses and metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils import write_json
from utils.model_utils import TrainingSpec
from utils.model_utils.training_spec import Best
from utils.model_utils.trials import read_history
from utils.report_utils import print_table

TOTALS_FILE = "totals.json"
_SHOWN = 20  # trials in the table that is printed


class MetricTotals(NamedTuple):
    """One metric over the epochs that measured it."""

    mean: float
    best: float
    best_epoch: int  # of equal values the earlier one


class TrialTotals(NamedTuple):
    """All epochs of a trial, also those before it was resumed."""

    epochs: int
    seconds: float  # of training and of measuring
    metrics: Mapping[str, MetricTotals]  # what the lines of the epochs have shown


def totals_of(trial: Path, training: TrainingSpec) -> TrialTotals:
    """Add up what a trial has reported.

    Args:
        trial: its folder.
        training: the `training:` block, which says what an epoch's line shows and which values are better.
    """
    rows = read_history(trial)
    metrics = {}
    for metric in training.printed:
        values = {int(row["epoch"]): row[metric] for row in rows if math.isfinite(row.get(metric, math.nan))}
        best = Best(training.mode_of(metric))
        for epoch, value in values.items():
            best.update(value, epoch)
        if best.value is not None:
            metrics[metric] = MetricTotals(math.fsum(values.values()) / len(values), best.value, best.epoch)
    return TrialTotals(len(rows), math.fsum(row.get("epoch_s", 0.0) for row in rows), metrics)


def write_totals(experiment: Path, trials: Iterable[str], training: TrainingSpec) -> None:
    """Write totals.json of every trial that has reported an epoch, and print them.

    Args:
        experiment: runs/<experiment>.
        trials: the names of their folders.
        training: see `totals_of`.
    """
    found = {name: totals_of(experiment / name, training) for name in trials}
    found = {name: totals for name, totals in found.items() if totals.epochs}
    for name, totals in found.items():
        metrics = {metric: one._asdict() for metric, one in totals.metrics.items()}
        write_json(experiment / name / TOTALS_FILE, {"format_version": 1, **totals._asdict(), "metrics": metrics})
    rows = [row for name, totals in list(found.items())[:_SHOWN] for row in _rows(name, totals)]
    if rows:
        columns = ["trial", "metric", "mean of epochs", "best", "best at"]
        print_table("Totals of training", columns, rows, texts=2)
    if len(found) > _SHOWN:
        print(f"of the other {len(found) - _SHOWN}: {experiment}/*/{TOTALS_FILE}")


def _rows(name: str, totals: TrialTotals) -> list[list[str]]:
    """The trial as a whole, then a row a metric."""
    epochs = "1 epoch" if totals.epochs == 1 else f"{totals.epochs} epochs"
    rows = [[name, epochs, f"{totals.seconds:.1f} s in all", "", ""]]
    for metric, (mean, best, epoch) in totals.metrics.items():
        rows.append(["", metric, f"{mean:.4f}", f"{best:.4f}", str(epoch)])
    return rows
