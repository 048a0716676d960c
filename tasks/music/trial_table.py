"""The trials of an experiment side by side: what each autoencoder is, costs, reconstructs and recommends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.autoencoders import AutoencoderSpec
from tasks.music.results import RecommendationResults
from tasks.music.run import MusicRun
from tasks.music.systems import BASELINES, system_name
from tasks.music.tables import short_name
from tasks.trained import TrainedRun
from utils.artefact_utils import replacing, write_rows
from utils.metric_utils.recommendation.tracks import FILTERS
from utils.model_utils import Selection
from utils.report_utils import markdown_table, print_table
from utils.tune_utils.overview import TrialSummary, trial_summaries

Row = dict[str, Any]  # column -> value; None, or no column: there is none

# Reported of the epoch of the best checkpoint -> column.
_REPORTED = {
    "train_mse": "train mse",
    "val_mse": "val mse",
    "explained_variance": "explained",
    "pca_explained_variance": "PCA explains",
    "dead_units": "dead units",
}
_RETRIEVAL = ("genre_precision@5", "genre_mAP", "artist_precision@5", "artist_mAP")
# The first columns of a table, texts before numbers; those that no row has are left out.
_FIRST = (
    *("experiment", "data", "trial", "ended", "input", "architecture"),
    *("latent", "window s", "parameters", "epochs", "seconds", *_REPORTED.values()),
)
_TEXTS = _FIRST[: _FIRST.index("latent")]
_PRINTED = {
    "trial": "",
    "input": "input",
    "latent": "latent",
    "parameters": "numbers",
    "seconds": "s",
    "explained": "explained",
    "genre_precision@5": "g P@5",
    "genre_mAP": "g mAP",
    "artist_precision@5": "a P@5",
}
_DECIMALS = {
    **{"explained": 3, "PCA explains": 3, "train mse": 4, "val mse": 4, "window s": 1, "on validation": 3},
    **dict.fromkeys(_RETRIEVAL, 3),
}


def trial_rows(trials: Sequence[TrainedRun[MusicRun]], results: RecommendationResults) -> list[Row]:
    """A row a trial, the best on validation first, then the MFCC baselines.

    Args:
        trials: those that were measured.
        results: with a system of each.
    """
    training = trials[0].run.training
    folder = trials[0].trial.folder.parent
    summaries = trial_summaries(folder, Selection(training.select_on, training.mode))
    by_name = {trained.trial.folder.name: trained for trained in trials}
    measured = {name: system.measures.metrics() for name, system in results.systems.items()}
    rows = []
    for line in summaries:
        summary = line._replace(ended=trials[0].commands.completed(line.ended))
        trained = by_name.get(summary.name)
        reported = summary.best if trained is None else trained.trial.checkpoint.metrics
        if trained is None or system_name(trained) not in measured:
            rows.append(trial_row(summary, reported))
        else:
            rows.append(trial_row(summary, reported, trained.run.model) | metric_cells(measured[system_name(trained)]))
    return [*rows, *({"trial": name, **metric_cells(measured[name])} for name in BASELINES)]


def trial_row(summary: TrialSummary, reported: Mapping[str, float], model: AutoencoderSpec | None = None) -> Row:
    """What a trial is, costs and reconstructs.

    Args:
        summary: its line of the overview.
        reported: of the epoch of its checkpoint.
        model: its autoencoder; None: the cells are left empty.
    """
    row: Row = {"trial": summary.name, "ended": summary.ended}
    if model is not None:
        row |= {"input": model.input, "architecture": model.name, "latent": model.latent_dim}
    row |= {"parameters": reported.get("trainable_parameters")}
    row |= {"epochs": summary.epochs, "seconds": round(summary.seconds, 1)}
    return row | {column: reported.get(key) for key, column in _REPORTED.items()}


def metric_cells(measured: Mapping[str, Mapping[str, float | None]]) -> Row:
    """Metrics without a filter by their names, the others as `filter: metric`.

    Args:
        measured: filter -> metric -> value.
    """
    found = {key: measured["none"][key] for key in _RETRIEVAL if key in measured["none"]}
    for filter_ in FILTERS:
        found |= {f"{filter_}: {key}": value for key, value in measured[filter_].items()}
    return found


def write_trial_table(stem: Path, rows: Sequence[Row]) -> list[Path]:
    """Write a table as .md, for people, and as .csv, with every metric in full; return their paths.

    Args:
        stem: of both paths, such as runs/<experiment>/recommendation_trials.
        rows: in their order.
    """
    held = dict.fromkeys(key for row in rows for key in row)
    columns = [*(column for column in _FIRST if column in held), *(column for column in held if column not in _FIRST)]
    shown = [column for column in columns if ":" not in column]
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("md", "csv")]
    with replacing(paths[0]) as beside:
        cells = [[_shown(column, row.get(column)) for column in shown] for row in rows]
        texts = sum(column in _TEXTS for column in shown)
        beside.write_text(markdown_table(shown, cells, texts), encoding="utf-8", errors="backslashreplace")
    full = [["" if row.get(column) is None else row[column] for column in columns] for row in rows]
    write_rows(paths[1], columns, full, lambda _: True)  # other labels have other columns
    return paths


def print_trials(title: str, rows: Sequence[Row]) -> None:
    """Print the columns that a terminal has room for; where there are several experiments, without the input."""
    left_out = "input" if any("experiment" in row for row in rows) else ""
    columns = [column for column in _PRINTED if column != left_out and any(column in row for row in rows)]
    cells = [[_shown(column, row.get(column)) for column in columns] for row in rows]
    for row, line in zip(rows, cells, strict=True):
        name = short_name(f"{row['trial']}/{row['architecture']}" if "architecture" in row else row["trial"])
        line[0] = f"{row['experiment']}: {name}" if "experiment" in row else name
    print_table(title, [_PRINTED[column] for column in columns], cells)


def _shown(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{_DECIMALS.get(column, 0)}f}"
    return str(value)
