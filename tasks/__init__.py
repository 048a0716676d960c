"""Stage 2b: one file per system; here, the names that the scripts use."""

from tasks.encoders import load_encoder
from tasks.runs import Run, check_run, experiment_of, fit_of, load_run, parse_run
from tasks.trained import Trained, load_trained

__all__ = [
    "Run",
    "Trained",
    "check_run",
    "experiment_of",
    "fit_of",
    "load_encoder",
    "load_run",
    "load_trained",
    "parse_run",
]
