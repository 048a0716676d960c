"""What is shown of measured classifiers: tables on the terminal and as CSV, pictures, and a page with the errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tasks.classification.results import ECE_CALIBRATED, ClassificationResults, Cost, SystemResult
from tasks.classification.systems import MAJORITY
from utils.artefact_utils import write_rows
from utils.metric_utils.classification.abstention import abstention_curve
from utils.metric_utils.classification.calibration import Reliability, error_if_calibrated, reliability
from utils.metric_utils.classification.resampling import Answers
from utils.report_utils import (
    Page,
    SystemScores,
    WrongRecording,
    class_rows,
    classification_page,
    plot_abstention,
    plot_confusion,
    plot_reliability,
    print_table,
)
from utils.report_utils.class_pages import CLASS_COLUMNS

_SHOWN = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "macro_f1": "macro-F1",
    "ece": "ECE",
    ECE_CALIBRATED: "after T",
}
_COMPARED = ("accuracy", "macro_f1")
_MOST_CLASSES = 60  # of the table on the terminal
_ERRORS = 12  # of the page

PREDICTION_COLUMNS = ["fid", "path", "category", "predicted", "probability", "calibrated_probability"]


def print_results(results: ClassificationResults, split: str) -> None:
    """Print all tables, and what they leave out."""
    compared = results.compared
    rows = [[name, *_cells(result)] for name, result in results.systems.items()]
    columns = ["system", "accuracy", "95 %", "macro-F1", "ECE", "after T"]
    print_table(f"Categories of {len(compared.recordings)} recordings of '{split}'", columns, rows)
    if windows := _window_rows(results):
        print_table("Single windows", ["system", "windows", "accuracy", "balanced", "macro-F1"], windows)
    if differences := _difference_rows(results):
        columns = ["less", *(_SHOWN[metric] for metric in _COMPARED)]
        print_table(f"What {compared.own} has more, 95 %, paired by recording", columns, differences)
    classes = [[_shown(cell) for cell in row] for row in class_rows(compared.classes, results.counts)]
    print_table(f"Classes, {compared.own}", CLASS_COLUMNS, classes[:_MOST_CLASSES])
    if len(classes) > _MOST_CLASSES:
        print(f"and {len(classes) - _MOST_CLASSES} more in the CSV")
    for line in [_calibration(results), *_cost(results.cost)]:
        print(line)


def _cells(result: SystemResult) -> list[str]:
    """As many as 80 letters have room for; the page and the JSON have the others."""
    accuracy, *others = (f"{result.metrics[metric]:.3f}" for metric in ("accuracy", "macro_f1", "ece", ECE_CALIBRATED))
    interval = result.intervals.get("accuracy")
    return [accuracy, "" if interval is None else f"{interval.low:.3f}-{interval.high:.3f}", *others]


def _window_rows(results: ClassificationResults) -> list[list[str]]:
    """A row a system, where some recording has several windows."""
    count = len(results.compared.recordings)
    found = {name: result.windows for name, result in results.systems.items() if result.windows}
    if all(windows["windows"] == count for windows in found.values()):
        return []
    keys = ("window_accuracy", "window_balanced_accuracy", "window_macro_f1")
    return [[name, f"{own['windows']:.0f}", *(f"{own[key]:.3f}" for key in keys)] for name, own in found.items()]


def _difference_rows(results: ClassificationResults) -> list[list[str]]:
    rows = []
    for name, differences in results.differences.items():
        cells = []
        for metric in _COMPARED if differences else ():
            found = differences[metric]
            cells.append(f"{found.difference:+.3f} [{found.interval.low:+.3f}, {found.interval.high:+.3f}]")
        if cells:
            rows.append([name, *cells])
    return rows


def _shown(cell: object) -> str:
    return "" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _calibration(results: ClassificationResults) -> str:
    own = results.own
    chance = error_if_calibrated(own.answers.confidence)
    return (
        f"calibration: temperature {own.temperature:.2f}, fitted on validation; ECE {own.metrics['ece']:.3f} before, "
        f"{own.metrics[ECE_CALIBRATED]:.3f} after; a calibrated system of these confidences would have {chance:.3f}"
    )


def _cost(cost: Cost | None) -> list[str]:
    if cost is None:
        return []
    peak = "" if cost.peak_memory_mb is None else f", peak memory {cost.peak_memory_mb:.0f} MB"
    return [
        f"cost: {cost.seconds:.3f} s a recording of {cost.sound_s:.1f} s{peak} ({cost.device}, {cost.recordings} "
        "recordings, one after the other, from the file)"
    ]


def write_tables(folder: Path, split: str, results: ClassificationResults) -> list[Path]:
    """Write the confusion matrix, the classes and the predictions as CSV; returns their paths."""
    compared, own = results.compared, results.own
    paths = [folder / f"{split}_{name}.csv" for name in ("confusion", "classes", "predictions")]
    matrix = own.answers.confusion.tolist()
    rows = [[name, *counts] for name, counts in zip(compared.classes, matrix, strict=True)]
    write_rows(paths[0], ["right \\ predicted", *compared.classes], rows)
    write_rows(paths[1], CLASS_COLUMNS, class_rows(compared.classes, results.counts))
    predictions = []
    probabilities = np.exp(compared.systems[compared.own].log_probs)
    calibrated = own.calibrated.confidence
    for row, one in enumerate(compared.recordings):
        predicted = int(own.answers.predicted[row])
        known = [one.fid, one.path, one.category, compared.classes[predicted]]
        numbers = [own.answers.confidence[row], calibrated[row], *probabilities[row]]
        predictions.append([*known, *(f"{number:.6g}" for number in numbers)])
    write_rows(paths[2], [*PREDICTION_COLUMNS, *(f"p({name})" for name in compared.classes)], predictions)
    return paths


def write_pictures(folder: Path, split: str, results: ClassificationResults) -> dict[str, Path]:
    """Draw the confusion matrix, the reliability and the abstention curves: caption -> PNG."""
    compared, own = results.compared, results.own
    paths = [folder / f"{split}_{name}.png" for name in ("confusion", "reliability", "abstention")]
    title = f"{compared.own}, '{split}'"
    plot_confusion(paths[0], title, compared.classes, own.answers.confusion)
    tables = {
        "as it is": _reliability(own.answers),
        f"temperature {own.temperature:.2f}": _reliability(own.calibrated),
    }
    plot_reliability(paths[1], title, tables)
    curves = {
        name: abstention_curve(result.answers.confidence, result.answers.right)
        for name, result in results.systems.items()
        if name != MAJORITY  # which is equally confident of all
    }
    plot_abstention(paths[2], f"'{split}': accuracy where a system answers only if it is confident", curves)
    captions = ("Confusion matrix", "Are probabilities as high as they are right?", "Abstention")
    return dict(zip(captions, paths, strict=True))


def _reliability(answers: Answers) -> Reliability:
    return reliability(answers.confidence, answers.right)


def report_page(
    split: str, checkpoint: str, root: Path, results: ClassificationResults, pictures: Mapping[str, Path]
) -> Page:
    """Build the page.

    Args:
        split: its name.
        checkpoint: which weights.
        root: of the sound files.
        results: what was measured.
        pictures: caption -> PNG.
    """
    compared, answers = results.compared, results.own.answers
    probabilities = np.exp(compared.systems[compared.own].log_probs)
    errors = []
    for row in answers.confident_errors(_ERRORS):
        one, predicted = compared.recordings[row], int(answers.predicted[row])
        line = " · ".join(filter(None, (one.channel, one.url)))
        right = float(probabilities[row, answers.targets[row]])
        names = one.category, compared.classes[predicted]
        errors.append(WrongRecording(one.path, line, root / one.path, *names, float(answers.confidence[row]), right))
    systems = {
        name: SystemScores({key: result.metrics[key] for key in _SHOWN}, result.intervals)
        for name, result in results.systems.items()
    }
    return classification_page(
        f"Categories of '{split}'",
        f"{compared.own}: {checkpoint}, {len(compared.recordings)} recordings",
        systems,
        class_rows(compared.classes, results.counts),
        pictures,
        errors,
    )
