"""The trials of an experiment side by side: what each has drawn, its best epoch, its costs, and how it has ended."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils import replacing
from utils.model_utils import Selection
from utils.model_utils.trials import TrialEnd, read_end, read_history
from utils.report_utils import print_table
from utils.tune_utils.draws import Draw, read_draws
from utils.tune_utils.spec import Experiment

OVERVIEW_FILE = "trials.csv"
ERROR_FILE = "error.txt"
_SHOWN = 20  # trials in the table that is printed


class TrialSummary(NamedTuple):
    """One line of the overview."""

    name: str
    draw: Draw
    best: Mapping[str, float]  # what was reported of its best epoch; empty: nothing was measured
    epochs: int
    seconds: float
    step_s: float | None  # of a training step, the median over epochs; None: it was not reported
    ended: str


def trial_summaries(folder: Path, selection: Selection, trials: Mapping[str, Draw] | None = None) -> list[TrialSummary]:
    """A line for every trial, the best first; those that have diverged or measured nothing last.

    Args:
        folder: runs/<experiment>.
        selection: the metric that epochs and trials are chosen by.
        trials: name -> draw; None: as trials.json holds them.
    Raises:
        ArtefactError: trials.json or an ended.json is broken.
    """
    draws = read_draws(folder) if trials is None else trials
    found = [_summary(folder / name, draw, selection) for name, draw in draws.items()]
    return sorted(found, key=lambda line: (line.ended.startswith("diverged"), selection.rank(line.best)))


def _summary(trial: Path, draw: Draw, selection: Selection) -> TrialSummary:
    rows = read_history(trial)
    measured = [row for row in rows if not math.isnan(row.get(selection.metric, math.nan))]
    steps = [row["step_s"] for row in rows if "step_s" in row]
    return TrialSummary(
        trial.name,
        draw,
        min(measured, key=selection.rank, default={}),  # of equal values the earlier epoch
        len(rows),
        sum(row.get("epoch_s", 0.0) for row in rows),
        statistics.median(steps) if steps else None,
        _state_of(trial),
    )


def _state_of(trial: Path) -> str:
    """How a trial has ended, or why it failed."""
    end, error = read_end(trial), trial / ERROR_FILE
    if end is None and error.is_file():
        return f"failed: {reason_of(error.read_text(encoding='utf-8'))}"
    return how_ended(end)


def reason_of(traceback: str) -> str:
    """The last line of a traceback, without the name of the exception."""
    line = next((line.strip() for line in reversed(traceback.splitlines()) if line.strip()), "no reason is known")
    return re.sub(r"^[\w.]*(Error|Exception): ", "", line)


def how_ended(end: TrialEnd | None) -> str:
    """In words: finished, stopped by ASHA, diverged, not finished."""
    if end is None:
        return "not finished"
    if end.reason == "stopped early" and end.message:
        return f"stopped by {end.message}"
    return end.reason


def write_overview(experiment: Experiment, trials: Mapping[str, Draw]) -> None:
    """Write trials.csv; where there are several trials, print them as a table too."""
    metric = experiment.training.select_on
    lines = trial_summaries(experiment.folder, Selection(metric, experiment.training.mode), trials)
    keys = drawn_keys(lines)
    columns = ["trial", "ended", *keys, metric, "best epoch", "epochs", "seconds", "step_s", "trainable_parameters"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        drawn = [plain_text(line.draw.get(key)) for key in keys]
        best = [line.best.get(metric, ""), int(line.best["epoch"]) if line.best else ""]
        step_s = "" if line.step_s is None else f"{line.step_s:.6f}"
        costs = [f"{line.seconds:.1f}", step_s, line.best.get("trainable_parameters", "")]
        writer.writerow([line.name, line.ended, *drawn, *best, line.epochs, *costs])
    with replacing(experiment.folder / OVERVIEW_FILE) as beside:
        beside.write_text(stream.getvalue(), encoding="utf-8", newline="")
    if len(lines) > 1:
        texts = zip(lines, drawn_texts(lines, keys), strict=True)
        rows = [_row(line, drawn, metric) for line, drawn in texts][:_SHOWN]
        shown = ["trial", "ended", *short_names(keys), metric, "best at", "epochs", "s"]
        print_table(f"{len(lines)} trials, the best {metric} first", shown, rows, texts=2, wrapped=1 + len(keys))
        if len(lines) > _SHOWN:
            print(f"all of them: {experiment.folder / OVERVIEW_FILE}")


def drawn_keys(lines: Sequence[TrialSummary]) -> list[str]:
    """The dotted keys that trials have drawn."""
    return list(dict.fromkeys(key for line in lines for key in line.draw))


def drawn_texts(lines: Sequence[TrialSummary], keys: Sequence[str]) -> list[list[str]]:
    """What each trial has drawn for the keys, short: of a block with a `name`, what tells it from the other draws."""
    of_keys = [_block_texts([line.draw.get(key) for line in lines]) for key in keys]
    return [list(texts) for texts in zip(*of_keys, strict=True)] if keys else [[] for _ in lines]


def _block_texts(values: Sequence[Any]) -> list[str]:
    """`{name: A, size: 3}` is A, or `A, size 3` where another A has another size; see `without_common_ending`."""
    if all(isinstance(value, str) for value in values):
        return without_common_ending(values)
    if not all(isinstance(value, Mapping) and isinstance(value.get("name"), str) for value in values):
        return [short_text(value) for value in values]
    texts = []
    for name, value in zip(without_common_ending([value["name"] for value in values]), values, strict=True):
        alike = [other for other in values if other["name"] == value["name"]]
        differing = [key for key in value if any(other.get(key) != value[key] for other in alike)]
        texts.append(", ".join([name, *(f"{key} {short_text(value[key])}" for key in differing)]))
    return texts


def _row(line: TrialSummary, drawn: Sequence[str], metric: str) -> list[str]:
    best = [f"{line.best[metric]:.4f}", f"{line.best['epoch']:.0f}"] if line.best else ["-", "-"]
    return [line.name, line.ended, *drawn, *best, str(line.epochs), f"{line.seconds:.0f}"]


def short_names(keys: Sequence[str]) -> list[str]:
    """The last part of each dotted key, or the whole where two keys end alike."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def without_common_ending(names: Sequence[str]) -> list[str]:
    """Names such as ProjectionAdapter and PerceiverAdapter without the last words that all have: Projection, ..."""
    words = [re.findall(r"[A-Z][a-z0-9]*|[^A-Z]+", name) for name in names]
    if len(set(names)) < 2:
        return list(names)
    common = 0
    while all(len(of_name) > common + 1 and of_name[-1 - common] == words[0][-1 - common] for of_name in words):
        common += 1
    # digits are a value, not a word
    if not "".join(words[0][len(words[0]) - common :]).isalpha():
        return list(names)
    return ["".join(of_name[: len(of_name) - common]) for of_name in words]


def short_text(value: Any) -> str:
    """A drawn value as text, numbers to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else plain_text(value)


def plain_text(value: Any) -> str:
    """A drawn value as text: JSON where it is more than a word or a number."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
