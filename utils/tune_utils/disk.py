"""Whether the disk has room for the checkpoints that an experiment is still to write."""

from __future__ import annotations

import math
from pathlib import Path

from utils.cli_utils import check_free_disk
from utils.model_utils.trials import checkpoint_folders, read_end
from utils.tune_utils.spec import Experiment

_BESIDE = 2  # besides the best: the last checkpoint, and a new one, which is written before an old one is removed


def check_disk(experiment: Experiment, *, fresh: bool) -> None:
    """Make sure that the disk has room, before anything is started.

    Args:
        experiment: with the size of one checkpoint.
        fresh: start again: the old folder is moved aside, and still takes its space.
    Raises:
        UserError: it has not.
    """
    check_free_disk(
        experiment.folder.parent, checkpoints_to_come(experiment, fresh) * experiment.checkpoint_bytes, "output_root"
    )


def checkpoints_to_come(experiment: Experiment, fresh: bool) -> int:
    """How many checkpoints all trials may still add to those on the disk."""
    grids = (len(d.grid) for d in experiment.distributions.values() if d.grid is not None)
    trials = experiment.ray.num_samples * math.prod(grids)
    most = experiment.ray.keep_checkpoints + _BESIDE
    if fresh:
        return most * trials
    return sum(_to_come(experiment.folder / f"trial_{number:05d}", most) for number in range(trials))


def _to_come(trial: Path, most: int) -> int:
    if not trial.is_dir():
        return most
    return 0 if read_end(trial) is not None else max(most - len(checkpoint_folders(trial)), 1)
