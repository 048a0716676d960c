"""Systems of models, data and metrics, one module or package each; here, the names that the scripts use."""

from tasks.base import RunSpec
from tasks.commands import Commands, command
from tasks.encoders import load_encoder
from tasks.runs import check_run, experiment_of, fit_of, load_run, parse_run, refuse_searched
from tasks.trained import TrainedRun, open_trained_run

__all__ = [
    "Commands",
    "RunSpec",
    "TrainedRun",
    "check_run",
    "command",
    "experiment_of",
    "fit_of",
    "load_encoder",
    "load_run",
    "open_trained_run",
    "parse_run",
    "refuse_searched",
]
