"""All experiments on music in one table, from the files of those that are measured; nothing is computed again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from tasks.commands import Commands
from tasks.music.results import MAIN_METRICS, SavedMetrics
from tasks.music.run import MusicRun
from tasks.music.systems import BASELINES, trial_system
from tasks.music.trial_table import Row, metric_cells, print_trials, trial_row
from tasks.runs import parse_run, require_kind
from utils.artefact_utils import is_there
from utils.cli_utils import ArtefactError, UserError
from utils.config_utils import read_settings
from utils.model_utils import Selection
from utils.model_utils.trials import PARAMS_FILE, read_history, trial_folders
from utils.tune_utils.overview import TrialSummary, trial_summaries

METRICS_FILE = "recommendation_metrics.json"
_TASK = get_args(MusicRun.model_fields["task"].annotation)[0]
_MOVED_ASIDE = re.compile(r".+\.old-\d+")  # by `main.py --fresh`


class ExperimentRows(NamedTuple):
    """The rows of an experiment that was measured.

    Attributes:
        folder: runs/<experiment>.
        trials: a row each, the best on validation first.
        baselines: a row each.
        order: experiments are sorted by it: same data together, the best on validation first.
    """

    folder: Path
    trials: list[Row]
    baselines: list[Row]
    order: tuple[str, str, str, float, str]

    @property
    def best(self) -> Row:
        """The best trial on validation of those that were measured."""
        return next(row for row in self.trials if "split" in row)

    @property
    def better_baseline(self) -> Row:
        """The MFCC baseline that recommends better."""
        return max(self.baselines, key=lambda row: next((row[key] for key in MAIN_METRICS if key in row), 0.0))


def experiment_rows(root: Path, commands: Commands) -> tuple[list[ExperimentRows], list[str]]:
    """Gather the rows of all experiments on music, and a line for each that lacks something.

    Args:
        root: output_root.
        commands: of the command line that runs.
    Returns:
        The experiments, sorted, and the lines.
    """
    found: list[ExperimentRows] = []
    notes: list[str] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else ():
        if _MOVED_ASIDE.fullmatch(folder.name):
            continue
        runs: dict[str, MusicRun] = {}
        try:
            runs = _runs_of(folder)
            found += _rows_of(folder, runs, commands.make("scores", ["--run", str(folder)]), notes) if runs else []
        except UserError as error:
            own = _commands_of(folder, runs) if runs else commands
            notes.append(f"{folder} is left out: {own.completed(str(error))}")
    return sorted(found, key=lambda rows: rows.order), notes


def print_experiments(found: Sequence[ExperimentRows]) -> None:
    """Print a line for the best trial of each experiment, and one for its better MFCC baseline."""
    rows = [row for experiment in found for row in (experiment.best, experiment.better_baseline)]
    print_trials("Experiments: of each the best trial on validation, and the better MFCC baseline", rows)


def _runs_of(folder: Path) -> dict[str, MusicRun]:
    """The runs of the trials of an experiment; empty where they are of another system.

    Raises:
        UserError: a trial's params.json is broken.
    """
    runs = {}
    for trial in trial_folders(folder):
        path = trial / PARAMS_FILE
        if (settings := read_settings(path)).get("task") == _TASK:
            runs[trial.name] = require_kind(parse_run(settings, str(path)), MusicRun, str(path))
    return runs


def _commands_of(folder: Path, runs: Mapping[str, MusicRun]) -> Commands:
    """The commands for the run of the first trial of an experiment."""
    name, run = next(iter(runs.items()))
    return Commands.of_file(folder / name / PARAMS_FILE, run.script_of)


def _rows_of(folder: Path, runs: Mapping[str, MusicRun], measure: str, notes: list[str]) -> list[ExperimentRows]:
    """The rows of an experiment; none where nothing is measured.

    Args:
        folder: runs/<experiment>.
        runs: of its trials.
        measure: the command that measures it.
        notes: a line is added for what it lacks.
    Raises:
        UserError: a file is broken that says what its trials are.
    """
    before = len(notes)
    measured = dict(_measured_trials(folder, runs, measure, notes))
    if not measured:
        if len(notes) == before:  # otherwise a file is broken, which says as much
            notes.append(f"{folder} is not measured; measure it: {measure}")
        return []
    run, saved, commands = next(iter(runs.values())), next(iter(measured.values())), _commands_of(folder, runs)
    selection = Selection(run.training.select_on, run.training.mode)
    lines = trial_summaries(folder, selection)
    lacking = [
        line.name for line in lines if line.name not in measured and line.best and not line.ended.startswith("diverged")
    ]
    if lacking:
        notes.append(f"{folder}: {', '.join(lacking)} of its trials not measured; measure all: {measure}")
    trials = [
        _trial_row(folder, line._replace(ended=commands.completed(line.ended)), runs.get(line.name), measured)
        for line in lines
    ]
    shared = {"experiment": folder.name, "data": str(run.data.root)}
    baselines = [shared | {"trial": name} | _measured_cells(name, saved) for name in BASELINES]
    rank = min(selection.rank(line.best) for line in lines if line.name in measured)
    order = (str(run.data.root), saved.split, selection.metric, rank, folder.name)
    return [ExperimentRows(folder, [shared | row for row in trials], baselines, order)]


def _measured_trials(
    folder: Path, runs: Mapping[str, MusicRun], measure: str, notes: list[str]
) -> Iterator[tuple[str, SavedMetrics]]:
    """Yield each trial that is measured, with the file's values; files of the experiment, then of single trials.

    Args:
        folder: runs/<experiment>.
        runs: of its trials.
        measure: the command that measures it.
        notes: a line is added for each file that is broken.
    """
    done: set[str] = set()
    for inside in (folder, *(folder / name for name in runs)):
        path = inside / METRICS_FILE
        if not is_there(path):
            continue
        try:
            saved = SavedMetrics.read(path)
        except ArtefactError as error:
            notes.append(f"{error}; measure it again: {measure}")
            continue
        for name, run in runs.items():
            if name not in done and trial_system(name, run) in saved.systems:
                done.add(name)
                yield name, saved


def _trial_row(folder: Path, line: TrialSummary, run: MusicRun | None, measured: Mapping[str, SavedMetrics]) -> Row:
    if run is None:  # nothing but its draw was written
        return trial_row(line, line.best)
    name, metric, saved = trial_system(line.name, run), run.training.select_on, measured.get(line.name)
    reported = line.best
    if saved is not None and name in saved.epochs:
        rows = read_history(folder / line.name)
        reported = next((row for row in rows if row["epoch"] == saved.epochs[name]), line.best)
    row = trial_row(line, reported, run.model)
    row |= {"window s": None if run.model.input == "features" else run.data.max_duration_s}
    row |= {"selected by": metric, "on validation": reported.get(metric)}
    return row if saved is None else row | _measured_cells(name, saved)


def _measured_cells(name: str, saved: SavedMetrics) -> Row:
    compared = {"split": saved.split, "tracks": saved.tracks, "compared by": str(saved.settings)}
    return metric_cells(saved.systems[name]) | compared
