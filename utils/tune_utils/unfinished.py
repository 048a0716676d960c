"""Whether an experiment has unfinished trials, from its files; stage 3 prints it before it uses the best so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.config_utils import read_settings
from utils.model_utils.trials import PARAMS_FILE, read_end, read_rows
from utils.tune_utils.folder import EXPERIMENT_FILE, is_finished
from utils.tune_utils.overview import ERROR_FILE


def describe_unfinished(experiment: Path, trial: str | None = None) -> str | None:
    """Describe in one line how far an experiment has come.

    Args:
        experiment: runs/<experiment>.
        trial: look at this one alone, by the name of its folder.
    Returns:
        The line, without what to do about it; None where every trial has ended, or where the trials were not trained
        by a search (a trial that was taken over from another program).
    Raises:
        UserError: experiment.json or an ended.json is broken.
    """
    if not (experiment / EXPERIMENT_FILE).is_file() or is_finished(experiment):
        return None
    folders = sorted(path.parent for path in experiment.glob(f"*/{PARAMS_FILE}") if trial in (None, path.parent.name))
    going = [folder for folder in folders if read_end(folder) is None]
    if not going:
        return None if trial else f"{experiment} is not finished: not all of its trials were started"
    more = f", and {len(going) - 1} more of {len(folders)} trials have not ended" if len(going) > 1 else ""
    return f"{experiment} is not finished: {_state(going[0])}{more}"


def _state(trial: Path) -> str:
    epochs: Any = read_settings(trial / PARAMS_FILE).get("training", {}).get("epochs", "?")
    failed = f" and has failed, see {trial / ERROR_FILE}" if (trial / ERROR_FILE).is_file() else ""
    return f"{trial.name} is at epoch {max(read_rows(trial), default=0)} of {epochs}{failed}"
