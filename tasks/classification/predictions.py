"""The categories of sound files that no table knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from tasks.classification.compared import TrainedClassifier
from tasks.classification.sounds import ClassifiedSound, SoundClassifier, Values, check_users_file
from utils.artefact_utils import write_rows
from utils.artefact_utils.ownership import known_table, refuse_foreign
from utils.audio_utils import AudioError
from utils.cli_utils import UserError, existing_folder, printable
from utils.config_utils import read_json
from utils.dataset_utils.file_names import audio_below
from utils.metric_utils.classification.calibration import COLDEST, HOTTEST, with_temperature
from utils.report_utils import print_table, progress_bar

_SHOWN = 10  # categories of a file, and windows at a time
_COLUMNS = ["path", "category", "probability", "windows", "error"]


class Temperature(NamedTuple):
    """What makes probabilities mean what they say."""

    value: float
    line: str  # where it comes from, for people


def temperature_of(own: TrainedClassifier) -> Temperature:
    """The temperature that was fitted when the checkpoint was measured; 1 if it has not been."""
    split = own.run.data.splits.eval
    path = own.trained.trial.folder / f"{split}_classification_metrics.json"
    try:
        measured = read_json(path)
        if measured["made_from"]["checkpoint"] == own.trained.checkpoint:
            value = float(measured["systems"][own.name]["temperature"])
            if COLDEST <= value <= HOTTEST:
                return Temperature(value, f"calibrated with the temperature {value:.2f} of {path}")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    again = own.trained.command_for(own.run.script_of("scores"))
    return Temperature(1.0, f"not calibrated; measure the checkpoint to calibrate them: {again}")


def predict_files(own: TrainedClassifier, paths: Sequence[Path]) -> None:
    """Print the categories of files.

    Raises:
        UserError: one is missing, and none is classified; or some cannot be classified, after all others are.
    """
    for path in paths:
        check_users_file(path, "--file")
    classifier = SoundClassifier(own.run, own.task, own.trained.split)
    temperature = temperature_of(own)
    refused = []
    for path in paths:
        try:
            with torch.inference_mode():
                found = classifier(path)
        except AudioError as error:
            refused.append(f"{path}: {error}")
        else:
            _print(path, found, own.task.classes, temperature)
    if refused:
        raise UserError(f"--file {', '.join(refused)}; name other files")


def _print(path: Path, found: ClassifiedSound, classes: Sequence[str], temperature: Temperature) -> None:
    probabilities = _probabilities(found, temperature)
    order = np.argsort(-probabilities, kind="stable")[:_SHOWN]
    title = f"{path}, {found.edges_s[-1]:.1f} s"
    print_table(title, ["category", "probability"], [[classes[k], f"{probabilities[k]:.3f}"] for k in order])
    if len(found.windows) > 1:
        rows = []
        for window, start, stop in zip(np.exp(found.windows), found.edges_s, found.edges_s[1:], strict=False):
            first, second = np.argsort(-window, kind="stable")[:2]
            named = [f"{classes[first]} {window[first]:.3f}", f"{classes[second]} {window[second]:.3f}"]
            rows.append([f"{_clock(start)} to {_clock(stop)}", *named])
        print_table("Its windows, not calibrated", ["from", "category", "second"], rows, texts=3)
    print(f"probabilities are {temperature.line}")


def _probabilities(found: ClassifiedSound, temperature: Temperature) -> Values:
    return np.exp(with_temperature(found.log_probs[None], temperature.value)[0])


def _clock(seconds: float) -> str:
    """Write a time as 1:02:03.5."""
    minutes, rest = divmod(round(float(seconds), 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def predict_folder(own: TrainedClassifier, folder: Path, out: Path | None) -> None:
    """Write the categories of all sound files below a folder: a row a file, also for those that cannot be classified.

    Args:
        own: the classifier.
        folder: of the files.
        out: the CSV; None: <folder's name>_categories.csv in the trial's folder.
    Raises:
        UserError: there is no such folder, it holds no sound files, or the CSV may not be written.
    """
    if not folder.is_dir():
        reason = "is a file; use --file" if folder.is_file() else "there is no such folder; correct it"
        raise UserError(f"--predict {folder}: {reason}")
    paths = audio_below(folder)
    if not paths:
        raise UserError(f"--predict {folder}: holds no sound files; name a folder of some")
    classes = own.task.classes
    columns = [*_COLUMNS, *(f"p({name})" for name in classes)]
    target = out or own.trained.trial.folder / f"{folder.resolve().name}_categories.csv"
    # before the work of hours
    existing_folder(target.absolute().parent, "--out", "correct it, or make the folder")
    refuse_foreign(target, known_table(columns))
    classifier, temperature = SoundClassifier(own.run, own.task, own.trained.split), temperature_of(own)
    rows: list[list[object]] = []
    refused = 0
    with torch.inference_mode(), progress_bar(len(paths), "classifying", "file") as bar:
        for path in paths:
            name = path.relative_to(folder).as_posix()
            try:
                found = classifier(path)
            except AudioError as error:
                rows.append([name, "", "", "", str(error), *[""] * len(classes)])
                refused += 1
            else:
                probabilities = _probabilities(found, temperature)
                best = int(probabilities.argmax())
                known = [name, classes[best], f"{probabilities[best]:.6g}", len(found.windows), ""]
                rows.append([*known, *(f"{value:.6g}" for value in probabilities)])
            bar.update()
    write_rows(target, columns, rows)
    if refused:
        first = next(row for row in rows if row[4])
        print(printable(f"{refused} of {len(paths)} files cannot be classified, such as {first[0]}: {first[4]}"))
    print(f"probabilities are {temperature.line}")
    print(f"wrote {target if out else own.trained.publish(target)}: {len(paths) - refused} files")
