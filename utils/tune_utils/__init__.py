"""Experiment space, trials, resume, stage 1 on a cluster: the only importer of ray, which it imports when it starts."""

from utils.tune_utils.chunk_actors import ActorShape
from utils.tune_utils.disk import check_disk
from utils.tune_utils.folder import read_experiment_run, read_revisions, read_trained_on
from utils.tune_utils.launch import launch, print_best
from utils.tune_utils.resources import Machine, check_resources, trial_device, with_gpus
from utils.tune_utils.spec import Distribution, Experiment, PlateauStopperSpec, RaySpec
from utils.tune_utils.stage_1 import Stage1Cluster, stage_1_cluster
from utils.tune_utils.unfinished import describe_unfinished

__all__ = [
    "ActorShape",
    "Distribution",
    "Experiment",
    "Machine",
    "PlateauStopperSpec",
    "RaySpec",
    "Stage1Cluster",
    "check_disk",
    "check_resources",
    "describe_unfinished",
    "launch",
    "print_best",
    "read_experiment_run",
    "read_revisions",
    "read_trained_on",
    "stage_1_cluster",
    "trial_device",
    "with_gpus",
]
