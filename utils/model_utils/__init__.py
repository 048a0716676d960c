"""Train, evaluate, checkpoint, restore: one loop for all tasks."""

from utils.model_utils.checkpoints import (
    CheckpointFacts,
    checkpoint_bytes,
    load_weights,
    read_checkpoint,
    read_facts,
    weights_of,
    write_checkpoint,
)
from utils.model_utils.devices import autocast, choose_device, to_device
from utils.model_utils.divergence import DivergedError
from utils.model_utils.frozen_weights import SavedWeights
from utils.model_utils.loop import Fit, Report
from utils.model_utils.optimisation import LRSchedulerSpec, OptimizerSpec
from utils.model_utils.prefetching import on_device
from utils.model_utils.random_states import seed_everything
from utils.model_utils.task_protocol import WEIGHT, Loader, Task
from utils.model_utils.training_spec import Selection, TrainingSpec
from utils.model_utils.trials import TrialCheckpoint, find_trial, read_history

__all__ = [
    "WEIGHT",
    "CheckpointFacts",
    "DivergedError",
    "Fit",
    "LRSchedulerSpec",
    "Loader",
    "OptimizerSpec",
    "Report",
    "SavedWeights",
    "Selection",
    "Task",
    "TrainingSpec",
    "TrialCheckpoint",
    "autocast",
    "checkpoint_bytes",
    "choose_device",
    "find_trial",
    "load_weights",
    "on_device",
    "read_checkpoint",
    "read_facts",
    "read_history",
    "seed_everything",
    "to_device",
    "weights_of",
    "write_checkpoint",
]
