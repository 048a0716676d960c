"""The folder of an experiment: whose it is, whether it is finished, what killed trials left in it.

A resumed experiment is put together from plain files alone, which this program writes and checks: experiment.json,
trials.json, and of each trial params.json, result.json, ended.json and the checkpoints.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.artefact_utils import write_json
from utils.cli_utils import UserError
from utils.cli_utils.repairs import make
from utils.config_utils import read_json, value_at
from utils.model_utils.trials import read_end
from utils.tune_utils.draws import EPOCHS, TRIALS_FILE, Draw, are_drawn, epochs_of, trials_of
from utils.tune_utils.spec import Experiment

EXPERIMENT_FILE = "experiment.json"
TRAINED_ON_FILE = "trained_on.json"
UNSAVED = ".checkpoint-"  # prefix of the folders where trials write a checkpoint before it takes its name

# What may change between a run and its resume: paths and resources, but no setting that changes what is learnt,
# except that training.epochs may be raised. Data in another place must be the same data: their digest is compared.
MOVABLE_KEYS = (
    "output_root",
    "data.root",
    "data.features",
    "data.workers",
    "ray.workers_per_trial",
    "ray.max_failures",
    "ray.cpus_per_trial",
    "ray.gpus_per_trial",
    "ray.max_concurrent",
    "ray.address",
    "ray.keep_checkpoints",
)


def move_aside(folder: Path) -> None:
    """Move an earlier experiment to <folder>.old-<n>.

    Raises:
        UserError: another process trains it.
    """
    if not folder.exists():
        return
    with only_one(folder):
        aside = next(p for n in range(1, 10_000) if not (p := folder.with_name(f"{folder.name}.old-{n}")).exists())
        shutil.move(folder, aside)
        print(f"moved {folder} to {aside}")


def prepare_folder(experiment: Experiment, *, resume: bool) -> bool:
    """Make the folder ready for the trials; False when they have all ended already.

    Raises:
        UserError: the folder holds another experiment, an unfinished one without `resume`, or strange files.
    """
    folder = experiment.folder
    record = folder / EXPERIMENT_FILE
    if not record.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder}: holds no experiment of this program; move it, or use --set experiment=NAME")
        if resume:
            print(f"{folder}: nothing to resume; starting")
        _note_trained_on(experiment)
        write_record(experiment, finished=False)
        return True
    held = _read_record(record)
    changed = _check_same(held, experiment)
    _note_trained_on(experiment)  # an experiment of an earlier version lacks it; the data are the same
    _refuse_links(folder)
    if held["finished"] and _all_ended(experiment, longer=EPOCHS in changed):
        print(f"{folder}: every trial has ended with these settings; reused (--fresh starts again)")
        return False
    if not resume:
        longer = f" ({changed[EPOCHS]})" if EPOCHS in changed else ""
        raise UserError(
            f"{folder}: holds an unfinished experiment{longer}; go on with --resume, or start again with --fresh"
        )
    if changed:
        print(f"{folder}: goes on with {', '.join(changed.values())}")
        write_record(experiment, finished=False)
    for leftover in folder.glob(f"{UNSAVED}*"):  # what a killed trial was writing
        shutil.rmtree(leftover)
    return True


def forget_unbegun(folder: Path) -> None:
    """Remove what `prepare_folder` has written if no trial has started: there is nothing to resume."""
    names = {path.name for path in folder.iterdir()}
    if names <= {EXPERIMENT_FILE, TRAINED_ON_FILE, TRIALS_FILE}:
        for name in names:
            (folder / name).unlink()


def _refuse_links(folder: Path) -> None:
    """Refuse symbolic links: an experiment folder of another user could make this program write anywhere."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and path.is_dir():
            raise UserError(f"{path}: is a link to another folder; put the folder itself in its place, or --fresh")


def _all_ended(experiment: Experiment, *, longer: bool) -> bool:
    """Whether each trial that was drawn has ended; a finished experiment may have lost one, or may take more epochs."""
    if not longer and not (experiment.folder / TRIALS_FILE).is_file():
        return True
    trials = trials_of(experiment)
    return are_drawn(experiment, trials) and all(is_over(experiment, name, draw) for name, draw in trials.items())


def is_over(experiment: Experiment, name: str, draw: Draw) -> bool:
    """Whether a trial has ended for good; one that had reached its last epoch goes on where it may take more now."""
    end = read_end(experiment.folder / name)
    return end is not None and (end.reason != "finished" or end.epoch >= epochs_of(experiment, draw))


def _check_same(held: dict[str, Any], experiment: Experiment) -> dict[str, str]:
    """Key -> what became of it, of the keys that have changed since the experiment began, and may."""
    changed = _changed_keys(held["run"], experiment.run)
    refused = [line for key, line in changed.items() if key not in MOVABLE_KEYS]
    if EPOCHS in changed and EPOCHS not in experiment.distributions:
        if value_at(held["run"], EPOCHS) < value_at(experiment.run, EPOCHS):
            refused.remove(changed[EPOCHS])
        else:
            refused[refused.index(changed[EPOCHS])] += ", which may only be raised"
    if refused:
        raise UserError(
            f"{experiment.folder}: holds an experiment with other settings ({', '.join(refused)}); "
            "use --set experiment=NAME, or --fresh to move it aside and start again"
        )
    if held["data"] != experiment.data:
        raise UserError(
            f"{experiment.folder}: holds an experiment on other data: clips, captions or their vectors have changed "
            "since; use --set experiment=NAME, or --fresh to move it aside and start again"
        )
    return changed


def write_record(experiment: Experiment, *, finished: bool) -> None:
    """Write experiment.json: what the experiment is, and whether all its trials have ended."""
    record = {
        "run": experiment.run,
        "data": experiment.data,
        "revisions": dict(experiment.revisions),
        "finished": finished,
    }
    write_json(experiment.folder / EXPERIMENT_FILE, {"format_version": 1, **record})


def _note_trained_on(experiment: Experiment) -> None:
    path = experiment.folder / TRAINED_ON_FILE
    if not path.exists() and experiment.trained_on:
        write_json(path, {"format_version": 1, "recordings": sorted(experiment.trained_on)})


def read_trained_on(folder: Path) -> frozenset[str]:
    """The recordings that an experiment was trained on; empty where that is not known.

    Raises:
        UserError: the file that names them is broken.
    """
    path = folder / TRAINED_ON_FILE
    if not path.is_file():
        return frozenset()
    try:
        recordings = read_json(path)["recordings"]
        if not isinstance(recordings, list) or not all(isinstance(one, str) for one in recordings):
            raise TypeError("expected a list of texts")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: does not name the recordings of an experiment ({error}); train again: "
            f"{make('training', '--fresh')}"
        ) from error
    return frozenset(recordings)


def read_revisions(folder: Path) -> dict[str, str]:
    """Which state of each frozen encoder made the vectors of an experiment; empty where that is not known."""
    record = folder / EXPERIMENT_FILE
    return _read_record(record)["revisions"] if record.is_file() else {}


def read_experiment_run(folder: Path) -> dict[str, Any]:
    """The settings that an experiment was started with, of which its trials have drawn."""
    return dict(_read_record(folder / EXPERIMENT_FILE)["run"])


def is_finished(folder: Path) -> bool:
    """Whether every trial of an experiment had ended when it was last trained."""
    return bool(_read_record(folder / EXPERIMENT_FILE)["finished"])


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold an experiment for this process alone; without effect on a file system without locks.

    Raises:
        UserError: another process trains it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise UserError(
                    f"{folder}: another process trains this experiment; wait until it has ended, "
                    "or use --set experiment=NAME"
                ) from error
        yield
    finally:
        os.close(handle)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        held = read_json(path)
        return {
            "run": dict(held["run"]),
            "data": str(held["data"]),
            "revisions": dict(held.get("revisions", {})),
            "finished": bool(held["finished"]),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the record of an experiment; move the folder aside with --fresh") from error


def _changed_keys(old: Any, new: Any, path: str = "") -> dict[str, str]:
    """Dotted key -> what became of it, for each key whose value differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines: dict[str, str] = {}
        for key in sorted({*old, *new}):
            lines |= _changed_keys(old.get(key), new.get(key), f"{path}.{key}")
        return lines
    key = path.removeprefix(".")
    same = old == new or (old in (None, {}) and new in (None, {}))  # an empty section, which an older version lacked
    return {} if same else {key: f"{key}: {old} -> {new}"}


def moved(params: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether a trial's params.json holds another value than its settings of today of a key that may change."""
    return any(_value(params, key) != _value(settings, key) for key in (*MOVABLE_KEYS, EPOCHS))


def _value(mapping: dict[str, Any], key: str) -> Any:
    try:
        return value_at(mapping, key)
    except (LookupError, TypeError):
        return None
