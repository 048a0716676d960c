"""Find what was trained: the best checkpoint of the best trial of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.cli_utils import ArtefactError, UserError, command_for
from utils.config_utils import parse_json, read_settings
from utils.model_utils.checkpoints import FACTS_FILE, CheckpointFacts, read_facts

PARAMS_FILE = "params.json"
HISTORY_FILE = "result.json"  # a line an epoch, as Ray Tune writes it


class TrainedTrial(NamedTuple):
    """A trial, its settings, and one of its checkpoints."""

    folder: Path
    params: dict[str, Any]
    checkpoint: CheckpointFacts
    is_best: bool  # of its experiment

    @property
    def label(self) -> str:
        """Which weights: trial, checkpoint and epoch, as files made with them note it."""
        return f"{self.folder.name}/{self.checkpoint.folder.name} (epoch {self.checkpoint.epoch})"


def checkpoint_folders(trial: Path) -> list[Path]:
    """The finished checkpoints of a trial by epoch, oldest first; one whose facts are broken comes last.

    Names do not tell: a resumed trial may number its checkpoints from an earlier one on. Of an epoch that was
    repeated, since its checkpoint was broken, the one written later comes later.
    """
    facts = trial.glob(f"checkpoint_*/{FACTS_FILE}")
    return sorted((p.parent for p in facts), key=lambda p: (_epoch(p), (p / FACTS_FILE).stat().st_mtime_ns, p.name))


def _epoch(checkpoint: Path) -> float:
    try:
        return read_facts(checkpoint).epoch
    except ArtefactError:
        return float("inf")


def find_trial(experiment: Path, trial: str | None = None, checkpoint: str | None = None) -> TrainedTrial:
    """The checkpoint to use.

    Args:
        experiment: runs/<experiment>.
        trial: name of a trial's folder; default the best.
        checkpoint: name of a checkpoint's folder; default the trial's best.
    Raises:
        UserError: there is no such experiment, trial or checkpoint.
    """
    train = command_for("main.py")
    trials = sorted(p.parent for p in experiment.glob(f"*/{PARAMS_FILE}"))
    if not trials:
        found = "holds no trial" if experiment.is_dir() else "does not exist"
        raise UserError(f"run {experiment} {found}; train first: {train}")
    params = {folder: _read_params(folder) for folder in trials}
    select_on = {folder: params[folder]["training"]["select_on"] for folder in trials}
    best = {folder: _best_checkpoint(folder, select_on[folder]) for folder in trials}
    ranked = sorted((f for f in trials if best[f]), key=lambda f: _rank(best[f], select_on[f]))
    if not ranked:
        raise UserError(f"run {experiment}: no trial has finished an epoch yet; go on: {train} --resume")
    folder = ranked[0] if trial is None else _named(trials, trial, f"run {experiment}: trial")
    chosen = best[folder]
    if checkpoint is not None:
        chosen = read_facts(_named(checkpoint_folders(folder), checkpoint, f"trial {folder}: checkpoint"))
    if chosen is None:
        raise UserError(f"trial {folder} has no checkpoint yet; go on: {train} --resume")
    return TrainedTrial(folder, params[folder], chosen, folder == ranked[0])


def read_history(trial: Path) -> list[dict[str, Any]]:
    """What was measured after each epoch of a trial, by epoch; empty if nothing was noted.

    An epoch that was repeated after a kill counts once, as it came out last; a line cut short by a kill is passed over.
    """
    path = trial / HISTORY_FILE
    epochs: dict[int, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = parse_json(line, allow_nan=True)
            epochs[int(row["epoch"])] = row
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
    return [epochs[epoch] for epoch in sorted(epochs)]


def _read_params(trial: Path) -> dict[str, Any]:
    path = trial / PARAMS_FILE
    params = read_settings(path)
    training = params.get("training")
    if not isinstance(training, dict) or not isinstance(training.get("select_on"), str):
        raise ArtefactError(f"{path}: has no training.select_on: not the settings of a trial; move {trial} away")
    return params


def _named(folders: Sequence[Path], name: str, what: str) -> Path:
    for folder in folders:
        if folder.name == name:
            return folder
    known = ", ".join(folder.name for folder in folders) or "none"
    raise UserError(f"{what} '{name}' does not exist; choices: {known}")


def _best_checkpoint(trial: Path, select_on: str) -> CheckpointFacts | None:
    facts: dict[int, CheckpointFacts] = {}
    for folder in checkpoint_folders(trial):
        try:
            found = read_facts(folder)
        except ArtefactError as error:
            print(f"passed over: {error}")
        else:
            facts[found.epoch] = found  # a repeated epoch counts as it was written last
    return min(facts.values(), key=lambda f: _rank(f, select_on), default=None)


def _rank(facts: CheckpointFacts | None, select_on: str) -> tuple[float, int]:
    """Sorts the best first; equal values: the earlier epoch."""
    if facts is None:
        return (float("inf"), 0)
    value = facts.metrics.get(select_on, float("nan"))
    if value != value:
        return (float("inf"), facts.epoch)
    return (value if select_on.endswith("loss") else -value, facts.epoch)
