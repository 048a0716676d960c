"""The trials of an experiment side by side: what each autoencoder is, costs, reconstructs and recommends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.music.results import RecommendationResults
from tasks.music.run import MusicRun
from tasks.music.systems import BASELINES, system_name
from tasks.music.tables import short_name
from tasks.trained import TrainedRun
from utils.artefact_utils import replacing, write_rows
from utils.metric_utils.recommendation.tracks import FILTERS
from utils.model_utils import Selection
from utils.report_utils import markdown_table, print_table
from utils.tune_utils.overview import trial_summaries

STEM = "recommendation_trials"
# Reported of the epoch of the best checkpoint -> column.
_REPORTED = {
    "trainable_parameters": "parameters",
    "train_mse": "train mse",
    "val_mse": "val mse",
    "explained_variance": "explained",
    "pca_explained_variance": "PCA explains",
    "dead_units": "dead units",
}
_RETRIEVAL = ("genre_precision@5", "genre_mAP", "artist_precision@5", "artist_mAP")
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
_DECIMALS = {"explained": 3, "PCA explains": 3, "train mse": 4, "val mse": 4, **dict.fromkeys(_RETRIEVAL, 3)}


def trial_rows(trials: Sequence[TrainedRun[MusicRun]], results: RecommendationResults) -> list[dict[str, Any]]:
    """A row a trial, the best on validation first, then the MFCC baselines.

    Args:
        trials: those that were measured.
        results: with a system of each.
    """
    training = trials[0].run.training
    folder = trials[0].trial.folder.parent
    summaries = trial_summaries(folder, Selection(training.select_on, training.mode))
    by_name = {trained.trial.folder.name: trained for trained in trials}
    rows = []
    for summary in summaries:
        trained = by_name.get(summary.name)
        row: dict[str, Any] = {"trial": summary.name, "ended": summary.ended}
        row |= {"epochs": summary.epochs, "seconds": round(summary.seconds, 1)}
        reported = summary.best if trained is None else trained.trial.checkpoint.metrics
        row |= {column: reported.get(key) for key, column in _REPORTED.items()}
        if trained is not None and system_name(trained) in results.systems:
            model = trained.run.model
            row |= {"input": model.input, "architecture": model.name, "latent": model.latent_dim}
            row |= _metrics(system_name(trained), results)
        rows.append(row)
    return [*rows, *({"trial": name, **_metrics(name, results)} for name in BASELINES)]


def write_trial_table(folder: Path, rows: Sequence[dict[str, Any]]) -> list[Path]:
    """Write recommendation_trials.md, for people, and .csv, with every metric in full; return their paths.

    Args:
        folder: runs/<experiment>.
        rows: of `trial_rows`.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    shown = [column for column in columns if ":" not in column]
    paths = [folder / f"{STEM}.md", folder / f"{STEM}.csv"]
    with replacing(paths[0]) as beside:
        cells = [[_shown(column, row.get(column)) for column in shown] for row in rows]
        beside.write_text(markdown_table(shown, cells), encoding="utf-8")
    full = [["" if row.get(column) is None else row[column] for column in columns] for row in rows]
    write_rows(paths[1], columns, full, lambda _: True)  # other labels have other columns
    return paths


def print_trials(rows: Sequence[dict[str, Any]]) -> None:
    """Print the columns that a terminal has room for."""
    columns = [column for column in _PRINTED if any(column in row for row in rows)]
    cells = [[_shown(column, row.get(column)) for column in columns] for row in rows]
    for row, line in zip(rows, cells, strict=True):
        line[0] = short_name(f"{row['trial']}/{row['architecture']}" if "architecture" in row else row["trial"])
    print_table("Trials, the best on validation first", [_PRINTED[column] for column in columns], cells)


def _metrics(name: str, results: RecommendationResults) -> dict[str, float]:
    """Metrics without a filter by their names, the others as `filter: metric`."""
    measured = results.systems[name].measures.metrics()
    found = {key: measured["none"][key] for key in _RETRIEVAL if key in measured["none"]}
    for filter_ in FILTERS:
        found |= {f"{filter_}: {key}": value for key, value in measured[filter_].items()}
    return found


def _shown(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{_DECIMALS.get(column, 0)}f}"
    return str(value)
