"""Stage 2b: one file per system; here, the names that the scripts use."""

from tasks.runs import Run, build_task, check_run, load_run, parse_run, search_of, training_parts
from tasks.trained import Trained, load_trained

__all__ = [
    "Run",
    "Trained",
    "build_task",
    "check_run",
    "load_run",
    "load_trained",
    "parse_run",
    "search_of",
    "training_parts",
]
