"""The tables of a comparison of trials: on the terminal, in Markdown, and in full as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.captioning.results import MODEL, MOST_FREQUENT
from tasks.captioning.trials import COSTS, LOSS, ComparedTrial, Comparison
from utils.artefact_utils import replacing, write_json, write_rows
from utils.cli_utils import printable
from utils.metric_utils.captions.cider import CIDER_D
from utils.report_utils import markdown_table, print_table
from utils.tune_utils.overview import drawn_keys, drawn_texts, plain_text, short_names, without_common_ending

# Of each kind of metric the one that is shown, where it was measured.
_METRICS = (CIDER_D, "BLEU-4", "ROUGE-L", "BERTScore_rescaled", "sentence_similarity")


def print_comparison(found: Comparison) -> None:
    """Print two tables, since one is too wide for a terminal."""
    costs, metrics = costs_table(found), metrics_table(found)
    title = "Trials, the best on validation first: what they cost (tokens of the median clip, and of the longest)"
    ended = costs.columns.index("ended")  # a column of its own would be too wide, and empty of words but "finished"
    drawn = len(drawn_keys([trial.summary for trial in found.trials]))
    columns = [[row[number] for row in costs.rows] for number in range(len(costs.columns))]
    for number in range(ended + 1, ended + 1 + drawn):
        columns[number] = without_common_ending(columns[number])
    rows = [
        list(cells) for cells in zip(*(cells for number, cells in enumerate(columns) if number != ended), strict=True)
    ]
    print_table(title, [column for column in costs.columns if column != "ended"], rows)
    for row in costs.rows:
        if row[ended] != "finished":
            print(printable(f"{row[0]}: {row[ended]}"))
    print_table(f"Their captions of '{found.best.split}'", metrics.columns, metrics.rows)
    for trial in found.trials:
        if trial.results is not None and (line := trial.results.collapse) is not None:
            print(printable(f"{trial.summary.name}: {line}"))


def write_comparison(found: Comparison, made_from: Mapping[str, Any]) -> list[Path]:
    """Write <split>_caption_trials.md, .csv and .json into runs/<experiment>/; return their paths.

    Args:
        found: the comparison.
        made_from: models of the metrics, ...
    """
    stem = f"{found.best.split}_caption_trials"
    paths = [found.folder / f"{stem}.{kind}" for kind in ("md", "csv", "json")]
    both, full = joined(costs_table(found), metrics_table(found)), full_table(found)
    with replacing(paths[0]) as beside:
        texts = both.columns.index("parameters")
        beside.write_text(markdown_table(both.columns, both.rows, texts), encoding="utf-8")
    write_rows(paths[1], full.columns, full.rows, lambda _: True)  # another search has other columns
    write_json(paths[2], found.as_json(made_from))
    return paths


class ComparedTable(NamedTuple):
    """The same as rows: a trial each, the most frequent training caption last."""

    columns: list[str]
    rows: list[list[str]]


def full_table(found: Comparison) -> ComparedTable:
    """Every number in full and in a column of its own, for other programs; empty where there is none."""
    rows = [_full_row(trial) for trial in found.trials]
    baseline, metrics = _baseline(found), _metrics(found)
    rows.append({"trial": "most frequent caption", **{key: baseline[key] for key in metrics}})
    use = ["use_of_input", "use_of_input_low", "use_of_input_high"]
    keys = drawn_keys([trial.summary for trial in found.trials])
    columns = ["trial", "ended", "checkpoint", *keys, *COSTS, "step_s", LOSS, "clips", *metrics, *use]
    cells = [[row.get(column) for column in columns] for row in rows]
    return ComparedTable(columns, [["" if cell is None else str(cell) for cell in row] for row in cells])


def _full_row(trial: ComparedTrial) -> dict[str, Any]:
    """Column -> value, of all metrics."""
    line, results = trial.summary, trial.results
    row: dict[str, Any] = {key: plain_text(value) for key, value in line.draw.items()}
    row |= {"trial": line.name, "ended": _ended(trial), "checkpoint": trial.checkpoint, "step_s": line.step_s}
    row |= {key: trial.reported.get(key) for key in (*COSTS, LOSS)}
    if results is not None:
        row |= {"clips": len(results.hypotheses), **results.metrics(MODEL)}
        if (use := results.use_of_input.get(CIDER_D)) is not None:
            row |= {"use_of_input": use.value, "use_of_input_low": use.low, "use_of_input_high": use.high}
    return row


def costs_table(found: Comparison) -> ComparedTable:
    """What each trial costs, for people; tokens of the median clip and, in brackets, of the longest."""
    keys = drawn_keys([trial.summary for trial in found.trials])
    columns = ["trial", "ended", *short_names(keys), "parameters", "tokens", "s a step", LOSS]
    rows = []
    for trial, drawn in zip(found.trials, drawn_texts([trial.summary for trial in found.trials], keys), strict=True):
        line, reported = trial.summary, trial.reported
        tokens = "-"
        if "input_tokens" in reported:
            tokens = f"{reported['input_tokens']:.0f} ({reported['longest_input_tokens']:.0f})"
        parameters = f"{reported['trainable_parameters']:.0f}" if "trainable_parameters" in reported else "-"
        step = "-" if line.step_s is None else f"{line.step_s:.3g}"
        loss = f"{reported[LOSS]:.4f}" if LOSS in reported else "-"
        rows.append([line.name, _ended(trial), *drawn, parameters, tokens, step, loss])
    return ComparedTable(columns, rows)


def metrics_table(found: Comparison) -> ComparedTable:
    """How good the captions of each trial are, for people."""
    metrics = _metrics(found)
    rows = []
    for trial in found.trials:
        cells = ["-"] * (len(metrics) + 1)
        if trial.results is not None:
            own, use = trial.results.metrics(MODEL), trial.results.use_of_input.get(CIDER_D)
            shown = "-" if use is None else f"{use.value:.4f} ({use.low:.4f} to {use.high:.4f})"
            cells = [*(f"{own[key]:.4f}" for key in metrics), shown]
        rows.append([trial.summary.name, *cells])
    baseline = _baseline(found)
    rows.append(["most frequent", *(f"{baseline[key]:.4f}" for key in metrics), "-"])
    return ComparedTable(["", *metrics, "use of the input (95 %)"], rows)


def joined(costs: ComparedTable, metrics: ComparedTable) -> ComparedTable:
    """One table of both: the columns of `metrics` behind those of `costs`."""
    empty = [""] * (len(costs.columns) - 1)
    first = [*costs.rows, *([row[0], *empty] for row in metrics.rows[len(costs.rows) :])]
    rows = [[*one, *two[1:]] for one, two in zip(first, metrics.rows, strict=True)]
    return ComparedTable([*costs.columns, *metrics.columns[1:]], rows)


def _ended(trial: ComparedTrial) -> str:
    return trial.summary.ended if trial.trouble is None else f"{trial.summary.ended}, no captions"


def _metrics(found: Comparison) -> list[str]:
    """The metrics of the table: one of each kind."""
    measured = _baseline(found)
    return [key for key in _METRICS if key in measured]


def _baseline(found: Comparison) -> dict[str, float]:
    """The metrics of the most frequent training caption."""
    return next(trial.results.metrics(MOST_FREQUENT) for trial in found.trials if trial.results is not None)
