"""One trial, in a process of its own: train, keep checkpoints, report."""

from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from utils.cli_utils import ArtefactError, UserError
from utils.config_utils import set_key, value_at
from utils.model_utils import CheckpointFacts, DivergedError, Fit, Selection, read_facts
from utils.model_utils.trials import TrialEnd, checkpoint_folders, write_end
from utils.tune_utils.folder import EXPERIMENT_FILE, UNSAVED
from utils.tune_utils.spec import RaySpec, trial_device

FitOf = Callable[[dict[str, Any]], Fit]  # a trial's settings -> its training run


class TrialStart(NamedTuple):
    """What the process that starts the trials of an experiment hands to each of them."""

    fit_of: FitOf
    spec: RaySpec
    folder: Path  # of the experiment, absolute
    directory: Path  # where the command was given: relative paths of the settings start there


def train_trial(config: dict[str, Any], start: TrialStart) -> None:
    """Train a trial from its newest whole checkpoint on; a trial that diverges is marked, and ends well.

    Raises:
        UserError: this machine does not see the folders of the experiment, or a file is missing or broken.
    """
    import torch

    logging.getLogger("ray.train").setLevel(logging.WARNING)
    exit_quietly()
    enter(start.directory, start.folder)
    settings = json.loads(config["trial"]["settings"])
    folder = start.folder / config["trial"]["name"]
    torch.set_num_threads(start.spec.cpus_per_trial)  # Ray sets OMP_NUM_THREADS itself only for trials of one CPU
    placed = copy.deepcopy(settings)  # checkpoints keep the settings as they were given
    set_key(placed, "training.device", trial_device(value_at(settings, "training.device"), start.spec))
    fit = start.fit_of(placed)
    fit.restore(checkpoint_folders(folder))
    reported = fit.epoch
    keep = KeepCheckpoints(folder, start.spec.keep_checkpoints, Selection(fit.training.select_on, fit.training.mode))

    def report(metrics: dict[str, float], save: Callable[[Path], None]) -> None:
        nonlocal reported
        from ray import tune

        keep(int(metrics["epoch"]), save)
        reported = int(metrics["epoch"])
        tune.report({"metrics": metrics})

    try:
        fit.run(report, settings)
    except DivergedError as error:
        write_end(folder, TrialEnd("diverged", reported, str(error)))


def exit_quietly() -> None:
    """Ray ends a process by raising SystemExit wherever it is; in a destructor, Python would print a traceback."""
    show = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, SystemExit):
            show(unraisable)

    sys.unraisablehook = hook


def enter(directory: Path, experiment: Path) -> None:
    """Work where the command was given, so that relative paths mean the same here as there.

    Raises:
        UserError: this machine does not see the folder, or the experiment.
    """
    for folder, needed in ((directory, directory), (experiment, experiment / EXPERIMENT_FILE)):
        if not needed.exists():
            raise UserError(
                f"machine {socket.gethostname()} does not see {folder}; all machines of a cluster need the same "
                "folders under the same names: put the project and output_root on a shared disk"
            )
    os.chdir(directory)


class KeepCheckpoints:
    """Checkpoints of a trial: the best ones, and always the last.

    Args:
        folder: of the trial.
        best: how many of the best ones to keep; equal values: the earlier ones.
        selection: which metric counts, and in which direction.
    """

    def __init__(self, folder: Path, best: int, selection: Selection) -> None:
        self._folder = folder
        self._best = best
        self._selection = selection

    def __call__(self, epoch: int, save: Callable[[Path], None]) -> None:
        """Save a checkpoint, whole or not at all, then remove those that are no longer among the best."""
        beside = self._aside(f"{epoch}")
        try:
            save(beside)
            self._put(beside, epoch)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        self._remove_others(epoch)

    def _put(self, beside: Path, epoch: int) -> None:
        target = self._folder / f"checkpoint_{epoch - 1:06d}"
        if target.exists() and _epoch(target) not in (None, epoch):  # an earlier version numbered them otherwise
            numbers = [int(p.name.rpartition("_")[2]) for p in self._folder.glob("checkpoint_" + "[0-9]" * 6)]
            target = self._folder / f"checkpoint_{max(numbers) + 1:06d}"
        if target.exists():  # it was broken, and its epoch was trained again
            self._remove(target)
        beside.rename(target)

    def _remove_others(self, newest: int) -> None:
        known = [facts for folder in checkpoint_folders(self._folder) if (facts := _facts(folder)) is not None]
        ranked = sorted((facts for facts in known if facts.epoch <= newest), key=self._rank)
        for facts in ranked[self._best :]:
            if facts.epoch != newest:
                self._remove(facts.folder)

    def _remove(self, checkpoint: Path) -> None:
        aside = self._aside(checkpoint.name)
        checkpoint.rename(aside / checkpoint.name)  # no reader may find half of it
        shutil.rmtree(aside, ignore_errors=True)

    def _aside(self, name: str) -> Path:
        """A new folder that `prepare_folder` clears away if this process is killed."""
        aside = self._folder.parent / f"{UNSAVED}{self._folder.name}-{name}-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        return aside

    def _rank(self, facts: CheckpointFacts) -> tuple[float, int]:
        return (self._selection.rank(facts.metrics), facts.epoch)


def _facts(checkpoint: Path) -> CheckpointFacts | None:
    try:
        return read_facts(checkpoint)
    except ArtefactError:
        return None


def _epoch(checkpoint: Path) -> int | None:
    facts = _facts(checkpoint)
    return None if facts is None else facts.epoch
