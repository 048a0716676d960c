"""The folder of an experiment: whose it is, whether it is finished, what killed trials left in it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from utils.artefact_utils import write_json
from utils.cli_utils import UserError
from utils.config_utils import read_json
from utils.tune_utils.spec import Search

EXPERIMENT_FILE = "experiment.json"
UNSAVED = ".checkpoint-"  # prefix of the folders where trials write a checkpoint before Ray keeps it


def prepare_folder(search: Search, *, resume: bool, fresh: bool) -> bool | None:
    """Whether to restore an unfinished experiment; None when it is finished already.

    Raises:
        UserError: the folder holds another experiment, an unfinished one without `resume`, or strange files.
    """
    folder = search.folder
    record = folder / EXPERIMENT_FILE
    if fresh and folder.exists():
        aside = next(p for n in range(1, 10_000) if not (p := folder.with_name(f"{folder.name}.old-{n}")).exists())
        shutil.move(folder, aside)
        print(f"moved {folder} to {aside}")
    if not record.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder}: holds no experiment of this program; move it, or use --set experiment=NAME")
        if resume:
            print(f"{folder}: nothing to resume; starting")
        write_record(search, finished=False)
        return False
    held = _read_record(record)
    changed = _changed_keys(held["run"], search.run)
    if changed:
        raise UserError(
            f"{folder}: holds an experiment with other settings ({', '.join(changed)}); "
            "use --set experiment=NAME, or --fresh to move it aside and start again"
        )
    if held["data"] != search.data:
        raise UserError(
            f"{folder}: holds an experiment on other data: clips, captions or their vectors have changed since; "
            "use --set experiment=NAME, or --fresh to move it aside and start again"
        )
    if held["finished"]:
        print(f"{folder}: every trial has ended with these settings; reused (--fresh starts again)")
        return None
    if not resume:
        raise UserError(f"{folder}: holds an unfinished experiment; go on with --resume, or start again with --fresh")
    for leftover in folder.glob(f"{UNSAVED}*"):  # what a killed trial was writing
        shutil.rmtree(leftover)
    return (folder / "tuner.pkl").is_file()


def write_record(search: Search, *, finished: bool) -> None:
    """Write experiment.json: what the experiment is, and whether all its trials have ended."""
    record = {"run": search.run, "data": search.data, "revisions": dict(search.revisions), "finished": finished}
    write_json(search.folder / EXPERIMENT_FILE, {"format_version": 1, **record})


def read_revisions(folder: Path) -> dict[str, str]:
    """Which state of each frozen encoder made the vectors of an experiment; empty where that is not known."""
    record = folder / EXPERIMENT_FILE
    return _read_record(record)["revisions"] if record.is_file() else {}


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


def _changed_keys(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [k for key in sorted({*old, *new}) for k in _changed_keys(old.get(key), new.get(key), f"{path}.{key}")]
    return [] if old == new else [f"{path.removeprefix('.')}: {old} -> {new}"]


def make_stand_ins(folder: Path) -> None:
    """Give every trial an (empty) folder for each checkpoint that it once had.

    Ray refuses a trial whose last known checkpoint is gone, though a younger one stands there.
    """
    for trial in folder.glob("trial_*"):
        numbers = [int(p.name.rsplit("_", 1)[1]) for p in trial.glob("checkpoint_*")]
        for number in range(max(numbers, default=-1)):
            (trial / f"checkpoint_{number:06d}").mkdir(exist_ok=True)


def remove_stand_ins(folder: Path) -> None:
    """Remove what `make_stand_ins` made and nobody filled."""
    for checkpoint in folder.glob("trial_*/checkpoint_*"):
        with contextlib.suppress(OSError):  # it is not empty: a real one
            checkpoint.rmdir()
