"""One process of a trial: train, keep checkpoints, report. Most trials have one; with several, each is a rank."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from utils.cli_utils import ArtefactError, UserError
from utils.config_utils import set_key, value_at
from utils.model_utils import CheckpointFacts, Fit, Selection, read_facts
from utils.model_utils.ranks import rank
from utils.model_utils.trials import checkpoint_folders, read_rows
from utils.tune_utils.folder import EXPERIMENT_FILE, UNSAVED
from utils.tune_utils.resources import trial_device
from utils.tune_utils.spec import RaySpec

FitOf = Callable[[dict[str, Any]], Fit]  # a trial's settings -> its training run
Send = Callable[[dict[str, float]], None]  # hands a row to the search; returns when the trial may go on


class TrialStart(NamedTuple):
    """What the process that starts the trials of an experiment hands to each of them."""

    fit_of: FitOf
    spec: RaySpec  # with numbers in place of `auto`
    folder: Path  # of the experiment, absolute
    directory: Path  # where the command was given: relative paths of the settings start there


def train_rank(config: dict[str, Any], start: TrialStart, send: Send, meet: Callable[[], None] = lambda: None) -> None:
    """Train a trial in this process: alone, or as one rank of torch's default process group.

    Args:
        config: name and settings of the trial.
        start: what all trials share.
        send: called by rank 0 alone, after the checkpoint of the epoch is there.
        meet: waits for the other ranks, after every epoch.
    Raises:
        UserError: this machine does not see the folders of the experiment, or a file is missing or broken.
        DivergedError: the numbers are no longer finite.
    """
    enter(start.directory, start.folder)
    settings = json.loads(config["trial"]["settings"])
    folder = start.folder / config["trial"]["name"]
    torch.set_num_threads(start.spec.cpus_per_trial)  # Ray sets OMP_NUM_THREADS itself only for trials of one CPU
    placed = copy.deepcopy(settings)  # checkpoints keep the settings as they were given
    set_key(placed, "training.device", trial_device(value_at(settings, "training.device"), start.spec))
    first = rank() == 0
    with contextlib.ExitStack() as stack:
        if not first:  # its lines would be those of rank 0
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        fit = start.fit_of(placed)
        fit.restore(checkpoint_folders(folder))
        keep = KeepCheckpoints(
            folder, start.spec.keep_checkpoints, Selection(fit.training.select_on, fit.training.mode)
        )
        if first and fit.epoch and fit.epoch not in read_rows(folder):
            _send_again(folder, fit.epoch, send)

        def report(metrics: dict[str, float], save: Callable[[Path], None]) -> None:
            if first:
                keep(int(metrics["epoch"]), save)
                send(metrics)
            meet()

        fit.run(report, settings)


def _send_again(trial: Path, epoch: int, send: Send) -> None:
    """Send the row of a checkpoint after which the trial was lost, before the row had arrived."""
    for facts in (_facts(folder) for folder in checkpoint_folders(trial)):
        if facts is not None and facts.epoch == epoch:
            send(facts.metrics)
            return


def enter(directory: Path, experiment: Path, paths: Sequence[Path] = ()) -> None:
    """Work where the command was given, so that relative paths mean the same here as there.

    Raises:
        UserError: this machine does not see the folder, the experiment, or one of other paths.
    """
    seen = {directory: directory, experiment: experiment / EXPERIMENT_FILE} | {path: path for path in paths}
    for folder, needed in seen.items():
        if not needed.exists():
            raise UserError(
                f"machine {socket.gethostname()} does not see {folder}; all machines of a cluster need the same "
                "folders under the same names: put the project, its data and output_root on a shared disk"
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


def newest_epoch(trial: Path) -> int:
    """The epoch of the newest checkpoint; 0 before the first."""
    return max((_epoch(folder) or 0 for folder in checkpoint_folders(trial)), default=0)


def _epoch(checkpoint: Path) -> int | None:
    facts = _facts(checkpoint)
    return None if facts is None else facts.epoch
