"""Experiment space, trials, resume: the only importer of ray, which it imports when it starts."""

from utils.tune_utils.disk import check_disk
from utils.tune_utils.folder import read_experiment_run, read_revisions, read_trained_on
from utils.tune_utils.launch import launch, print_best
from utils.tune_utils.spec import (
    Distribution,
    Experiment,
    Machine,
    PlateauStopperSpec,
    RaySpec,
    check_resources,
    trial_device,
)
from utils.tune_utils.unfinished import describe_unfinished

__all__ = [
    "Distribution",
    "Experiment",
    "Machine",
    "PlateauStopperSpec",
    "RaySpec",
    "check_disk",
    "check_resources",
    "describe_unfinished",
    "launch",
    "print_best",
    "read_experiment_run",
    "read_revisions",
    "read_trained_on",
    "trial_device",
]
