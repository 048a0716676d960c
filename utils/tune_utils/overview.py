"""The trials of an experiment side by side: what each has drawn, its best value, and how it has ended."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from utils.artefact_utils import replacing
from utils.model_utils.trials import TrialEnd, read_end, read_history
from utils.report_utils import print_table
from utils.tune_utils.draws import Draw
from utils.tune_utils.spec import Experiment

OVERVIEW_FILE = "trials.csv"
_SHOWN = 20  # trials in the table that is printed


class TrialSummary(NamedTuple):
    """One line of the overview."""

    name: str
    draw: Draw
    best: float  # of the metric that is chosen by; NaN: none was measured
    best_epoch: int  # 0: none
    epochs: int
    seconds: float
    ended: str


def summaries(experiment: Experiment, trials: Mapping[str, Draw]) -> list[TrialSummary]:
    """A line for every trial, the best first; those that have diverged or measured nothing last."""
    found = [_summary(experiment, name, draw) for name, draw in trials.items()]
    sign = 1 if experiment.training.mode == "min" else -1
    return sorted(found, key=lambda line: (line.ended.startswith("diverged"), math.isnan(line.best), sign * line.best))


def _summary(experiment: Experiment, name: str, draw: Draw) -> TrialSummary:
    rows = read_history(experiment.folder / name)
    metric = experiment.training.select_on
    sign = 1 if experiment.training.mode == "min" else -1
    measured = [row for row in rows if not math.isnan(row.get(metric, math.nan))]
    best = min(measured, key=lambda row: sign * row[metric], default=None)  # of equal values the earlier epoch
    return TrialSummary(
        name,
        draw,
        math.nan if best is None else best[metric],
        0 if best is None else int(best["epoch"]),
        len(rows),
        sum(row.get("epoch_s", 0.0) for row in rows),
        how_ended(read_end(experiment.folder / name)),
    )


def how_ended(end: TrialEnd | None) -> str:
    """In words: finished, stopped by ASHA, diverged, not finished."""
    if end is None:
        return "not finished"
    if end.reason == "stopped early" and end.message:
        return f"stopped by {end.message}"
    return end.reason


def write_overview(experiment: Experiment, trials: Mapping[str, Draw]) -> None:
    """Write trials.csv; where there are several trials, print them as a table too."""
    lines = summaries(experiment, trials)
    keys = list(dict.fromkeys(key for line in lines for key in line.draw))
    metric = experiment.training.select_on
    columns = ["trial", "ended", *keys, metric, "best epoch", "epochs", "seconds"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        drawn = [_plain(line.draw.get(key)) for key in keys]
        best = ["" if line.best_epoch == 0 else line.best, line.best_epoch or ""]
        writer.writerow([line.name, line.ended, *drawn, *best, line.epochs, f"{line.seconds:.1f}"])
    with replacing(experiment.folder / OVERVIEW_FILE) as beside:
        beside.write_text(stream.getvalue(), encoding="utf-8", newline="")
    if len(lines) > 1:
        rows = [_row(line, keys) for line in lines[:_SHOWN]]
        shown = ["trial", "ended", *_short_names(keys), metric, "best at", "epochs", "s"]
        print_table(f"{len(lines)} trials, the best {metric} first", shown, rows, texts=2)
        if len(lines) > _SHOWN:
            print(f"all of them: {experiment.folder / OVERVIEW_FILE}")


def _row(line: TrialSummary, keys: Sequence[str]) -> list[str]:
    drawn = [_short(line.draw.get(key)) for key in keys]
    best = ["-", "-"] if line.best_epoch == 0 else [f"{line.best:.4f}", str(line.best_epoch)]
    return [line.name, line.ended, *drawn, *best, str(line.epochs), f"{line.seconds:.0f}"]


def _short_names(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or the whole where two keys end alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _plain(value)


def _plain(value: Any) -> str:
    """A drawn value as text: JSON where it is more than a word or a number."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
