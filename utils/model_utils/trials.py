"""Find what was trained: the best checkpoint of the best trial of an experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError, UserError
from utils.cli_utils.repairs import make
from utils.config_utils import parse_json, read_json, read_settings
from utils.model_utils.checkpoints import FACTS_FILE, CheckpointFacts, check_whole, is_number, read_facts

PARAMS_FILE = "params.json"
HISTORY_FILE = "result.json"  # a line an epoch
ENDED_FILE = "ended.json"

Reason = Literal["finished", "stopped early", "diverged"]


class TrialEnd(NamedTuple):
    """How a trial has ended."""

    reason: Reason
    epoch: int  # the last one that was reported
    message: str = ""  # of a trial that diverged, what was found


class TrialCheckpoint(NamedTuple):
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

    Not by name: a resumed trial may number its checkpoints from an earlier one on. Of an epoch that was
    repeated, since its checkpoint was broken, the one written later comes later.
    """
    found = _folders_with(FACTS_FILE, trial, "checkpoint_")
    return sorted(found, key=lambda p: (_epoch(p), (p / FACTS_FILE).stat().st_mtime_ns, p.name))


def trial_folders(experiment: Path) -> list[Path]:
    """The folders of an experiment's trials, by name."""
    return sorted(_folders_with(PARAMS_FILE, experiment))


def _folders_with(file: str, folder: Path, prefix: str = "") -> list[Path]:
    """The folders in a folder that hold such a file.

    Raises:
        OSError: one may not be looked into; `Path.glob` would pass over it, and another one would be taken for it.
    """
    inner = [path for path in folder.iterdir() if path.name.startswith(prefix)] if folder.is_dir() else []
    return [path for path in inner if path.is_dir() and (path / file).exists()]


def _epoch(checkpoint: Path) -> float:
    try:
        return read_facts(checkpoint).epoch
    except ArtefactError:
        return float("inf")


def read_end(trial: Path) -> TrialEnd | None:
    """How a trial has ended; None while it has not.

    Raises:
        ArtefactError: ended.json is broken.
    """
    path = trial / ENDED_FILE
    if not path.is_file():
        return None
    try:
        held = read_json(path)
        end = TrialEnd(held["reason"], int(held["epoch"]), str(held["message"]))
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ArtefactError(f"{path}: does not name how a trial has ended; remove it: the trial goes on") from error
    if end.reason not in get_args(Reason):
        reasons = ", ".join(get_args(Reason))
        raise ArtefactError(f"{path}: reason is {end.reason!r}, expected one of {reasons}; remove it: it goes on")
    return end


def write_end(trial: Path, end: TrialEnd) -> None:
    """Mark a trial as ended: a resumed experiment does not train it again."""
    write_json(trial / ENDED_FILE, {"format_version": 1, **end._asdict()})


def has_diverged(trial: Path) -> bool:
    """Whether a trial has ended because its numbers were no longer finite: no checkpoint of it counts."""
    end = read_end(trial)
    return end is not None and end.reason == "diverged"


def find_trial(experiment: Path, trial: str | None = None, checkpoint: str | None = None) -> TrialCheckpoint:
    """The checkpoint to use.

    Args:
        experiment: runs/<experiment>.
        trial: name of a trial's folder; default the best.
        checkpoint: name of a checkpoint's folder; default the trial's best.
    Raises:
        UserError: there is no such experiment, trial or checkpoint.
    """
    trials = trial_folders(experiment)
    if not trials:
        found = "holds no trial" if experiment.is_dir() else "does not exist"
        raise UserError(f"run {experiment} {found}; train first: {make('training')}")
    params = {folder: _read_params(folder) for folder in trials}
    ranked = {folder: _ranked(folder) for folder in trials}
    diverged = [folder for folder in trials if has_diverged(folder)]
    best = _first_whole([facts for folder in trials if folder not in diverged for facts in ranked[folder]])
    best_trial = None if best is None else best.folder.parent
    folder = best_trial if trial is None else _named(trials, trial, f"run {experiment}: trial")
    if folder is None and len(diverged) == len(trials):
        raise UserError(
            f"run {experiment}: every trial has diverged; change the settings, then: {make('training', '--fresh')}"
        )
    if folder is None:
        _refuse_none_whole(f"run {experiment}", any(ranked.values()))
        raise UserError(f"run {experiment}: no trial has finished an epoch yet; go on: {make('training', '--resume')}")
    chosen: CheckpointFacts | None
    if checkpoint is not None:
        chosen = read_facts(_named(checkpoint_folders(folder), checkpoint, f"trial {folder}: checkpoint"))
    else:
        chosen = best if folder == best_trial else _first_whole(ranked[folder])
    if chosen is None:
        _refuse_none_whole(f"trial {folder}", bool(ranked[folder]))
        raise UserError(f"trial {folder} has no checkpoint yet; go on: {make('training', '--resume')}")
    return TrialCheckpoint(folder, params[folder], chosen, folder == best_trial)


def _refuse_none_whole(where: str, has_any: bool) -> None:
    if has_any:
        raise UserError(f"{where}: no checkpoint is whole; train again: {make('training', '--fresh')}")


def read_rows(trial: Path) -> dict[int, dict[str, Any]]:
    """Epoch -> what was noted after it, by epoch; empty if nothing was.

    An epoch that was repeated after a kill counts once, as it came out last; a line cut short by a kill, or one that
    holds no epoch, is ignored.
    """
    path = trial / HISTORY_FILE
    rows: dict[int, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            row = parse_json(line, allow_nan=True)
        except ValueError:
            continue
        epoch: Any = row.get("epoch") if isinstance(row, dict) else None
        if is_number(epoch) and 1 <= epoch < math.inf:
            rows[int(epoch)] = row
    return {epoch: rows[epoch] for epoch in sorted(rows)}


def read_history(trial: Path) -> list[dict[str, float]]:
    """The numbers among `read_rows`, an item an epoch."""
    return [{key: value for key, value in row.items() if is_number(value)} for row in read_rows(trial).values()]


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


def _ranked(trial: Path) -> list[CheckpointFacts]:
    """Return the checkpoints of a trial, the best first, by the metric in their own facts."""
    facts: dict[int, CheckpointFacts] = {}
    for folder in checkpoint_folders(trial):
        try:
            found = read_facts(folder)
        except ArtefactError as error:
            print(f"skipped: {error}")
        else:
            if found.selection is None and found.metrics:
                raise ArtefactError(
                    f"{folder / FACTS_FILE}: does not name the metric of its rank, nor whether higher is better: an "
                    f"earlier version wrote it; move {trial} away, or train again: {make('training', '--fresh')}"
                )
            facts[found.epoch] = found  # a repeated epoch counts as it was written last
    return sorted(facts.values(), key=lambda found: found.rank)


def _first_whole(candidates: Sequence[CheckpointFacts]) -> CheckpointFacts | None:
    """Return the best of some checkpoints whose state is intact; print which were skipped."""
    for facts in sorted(candidates, key=lambda facts: facts.rank):  # stable: of equal ones, the earlier trial
        try:
            check_whole(facts.folder)
        except ArtefactError as error:
            print(f"skipped, though better than the next: {error}")
        else:
            return facts
    return None
