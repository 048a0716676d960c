"""Which run some scores are of: its data, and not those of the YAML, are what the scores are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.commands import Commands
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.trained import run_of_trial
from utils.artefact_utils.retrieval.ensemble_records import ENSEMBLE_FILE, read_ensemble
from utils.model_utils import find_trial
from utils.model_utils.trials import PARAMS_FILE, trial_folders


def run_behind(
    paths: Sequence[Path], conf: DualEncoderRun, changed: Sequence[str], commands: Commands
) -> tuple[DualEncoderRun, Commands]:
    """Find the run whose data some scores are of.

    Args:
        paths: folders of experiments, trials or ensembles, or files of scores.
        conf: the run of the YAML, for scores that no run of this project made.
        changed: the keys that `--set` named; it may say where `data.root` and `data.features` are by now.
        commands: of the command line.
    Returns:
        The run of the first path that has one, else `conf`; and the commands that repair its stage 1.
    Raises:
        UserError: the settings of a trial are broken, or of another system.
    """
    for path in paths:
        folder = _trial_behind(path, set())
        if folder is not None:
            run = run_of_trial(folder, conf, changed, DualEncoderRun)
            return run, commands if run.data == conf.data else Commands.of_file(folder / PARAMS_FILE, run.script_of)
    return conf, commands


def _trial_behind(path: Path, seen: set[Path]) -> Path | None:
    """The folder of the trial that scores come from; of an ensemble, that of its first member that has one."""
    folder = path if path.is_dir() else path.parent
    if folder.resolve() in seen or not folder.is_dir():  # ensembles may name each other
        return None
    if not path.is_dir() and not path.name.endswith("_xmodal_scores.hdf5"):  # a file of another system lies anywhere
        return None
    if (folder / PARAMS_FILE).is_file():
        return folder
    if (folder / ENSEMBLE_FILE).is_file():
        named = [member.scores for record in read_ensemble(folder).values() for member in record.members]
        members = (_trial_behind(member, seen | {folder.resolve()}) for member in named)
        return next((member for member in members if member is not None), None)
    return find_trial(folder).folder if trial_folders(folder) else None
