"""Trials under Ray Tune: run those that have not ended, print the results.

Ray decides which trial runs where. Everything that has to outlive it - which trials there are, what they have
reported, their checkpoints, which of them have ended - is in plain files, so that a resumed experiment is a new
search over the trials that are left.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils import write_json
from utils.cli_utils import UserError, disk_error_reason
from utils.cli_utils.repairs import make
from utils.config_utils import read_settings, value_at
from utils.model_utils import find_trial
from utils.model_utils.trials import ENDED_FILE, PARAMS_FILE, read_end
from utils.tune_utils.callbacks import Recorder, mark_end, ray_callback, summary
from utils.tune_utils.draws import Draw, add_trial, are_drawn, epochs_of_trials, settings_of, trials_of
from utils.tune_utils.early_stopping import EarlyStopping, scheduler_of
from utils.tune_utils.folder import (
    EXPERIMENT_FILE,
    UNSAVED,
    forget_unbegun,
    is_over,
    move_aside,
    moved,
    only_one,
    prepare_folder,
    write_record,
)
from utils.tune_utils.interrupts import Interrupts, interrupts
from utils.tune_utils.overview import ERROR_FILE, write_overview
from utils.tune_utils.rank import FitOf, TrialStart
from utils.tune_utils.resources import trials_at_a_time
from utils.tune_utils.results import Results, repair_rows
from utils.tune_utils.running_ray import Started, ray_settings, running_ray
from utils.tune_utils.spec import Experiment, RaySpec
from utils.tune_utils.suggestions import searcher_of, suggest
from utils.tune_utils.totals import write_totals
from utils.tune_utils.trial import train_trial


def launch(experiment: Experiment, fit_of: FitOf, *, resume: bool, fresh: bool) -> bool:
    """Train every trial under Ray Tune, in runs/<experiment>/<trial>/.

    Args:
        experiment: run, distributions and resources.
        fit_of: a trial's settings -> its training run; called in the trial's process.
        resume: go on with an unfinished experiment.
        fresh: move what is in the folder aside and start again.
    Returns:
        True when every trial has ended, False when the run was interrupted.
    Raises:
        UserError: the folder holds another or an unfinished experiment, or trials failed or all diverged.
    """
    if fresh:
        move_aside(experiment.folder)
    with ray_settings(), only_one(experiment.folder), interrupts() as signals:
        failed: dict[str, str] = {}
        is_new = not (experiment.folder / EXPERIMENT_FILE).is_file()
        try:
            if prepare_folder(experiment, resume=resume):
                failed = _train(experiment, TrialStart(fit_of, experiment.ray, *_folders(experiment)), signals)
        except (KeyboardInterrupt, SystemExit):  # Ray turns SIGTERM into an exit while it starts
            signals.seen = True
        except Exception as error:
            if not signals.seen:  # else: what the signal did to Ray's own processes
                if is_new and isinstance(error, UserError):  # such as: Ray cannot be reached
                    forget_unbegun(experiment.folder)
                raise
        return not signals.seen and _conclude(experiment, failed)


def _folders(experiment: Experiment) -> tuple[Path, Path]:
    """Return the experiment's folder and the working directory as absolute paths: Ray's workers start elsewhere."""
    return experiment.folder.absolute(), Path.cwd()


def _train(experiment: Experiment, start: TrialStart, signals: Interrupts) -> dict[str, str]:
    """Run the trials that have not ended; returns name -> reason of those that failed."""
    trials = trials_of(experiment)
    stopping, results, left = _restored(experiment, trials)
    if not left and are_drawn(experiment, trials):
        return {}
    recorder = Recorder(experiment, trials, results, stopping)
    device = value_at(experiment.run, "training.device")
    with running_ray(experiment.ray, start.folder, device, experiment.paths) as ray:
        signals.install()  # Ray has put its own handler of SIGTERM in place
        try:
            start = start._replace(spec=ray.spec)
            chosen = _trials_to_run(experiment, trials, left, ray)
            _tuner(start, ray, chosen, scheduler_of(stopping), ray_callback(recorder, signals)).fit()
        except Exception as error:
            cause = _cause(experiment, recorder.trouble or error)
            if cause is error:
                raise
            raise cause from error
        finally:
            for name in trials:
                recorder.close(name)
            for leftover in start.folder.glob(f"{UNSAVED}*"):  # of trials that were stopped
                shutil.rmtree(leftover, ignore_errors=True)
    return recorder.failed


def _cause(experiment: Experiment, error: Exception) -> Exception:
    """What ended the search, with the command that goes on where the user can repair it."""
    reason = disk_error_reason(error) if isinstance(error, OSError) else None
    if reason is None:
        return error
    return UserError(f"{experiment.folder}: {reason}, then: {make('training', '--resume')}")


def _restored(
    experiment: Experiment, trials: dict[str, Draw]
) -> tuple[EarlyStopping, Results, dict[str, dict[str, Any]]]:
    """Early stopping and results as they were at the last row, and the settings of the trials that have not ended."""
    epochs = epochs_of_trials(experiment, trials)
    stopping = EarlyStopping(experiment.ray, experiment.training, max(epochs.values()))
    rows = repair_rows(experiment.folder, trials)
    ended = {name: stopping.ends(name, row) or row["epoch"] >= epochs[name] for name, row in rows}  # by its last row
    left = {}
    for name, draw in trials.items():
        folder, settings = experiment.folder / name, settings_of(experiment, draw)
        if not is_over(experiment, name, draw):
            (folder / ENDED_FILE).unlink(missing_ok=True)  # it had reached its last epoch, and may take more now
            if ended.get(name):  # it had reported its last row when the search was killed
                mark_end(folder, settings, stopping.stopped_by.get(name))
            else:
                left[name] = settings
                continue
        _follow(folder / PARAMS_FILE, settings)
    return stopping, Results(experiment.folder, len(rows)), left


def _follow(path: Path, settings: dict[str, Any]) -> None:
    """Let params.json of an ended trial name the folders of today."""
    if path.is_file() and moved(read_settings(path), settings):
        write_json(path, settings)


class _Trials(NamedTuple):
    """Which trials Ray Tune runs."""

    space: dict[str, Any]
    number: int  # of samples of the space
    search_alg: Any


def _trials_to_run(
    experiment: Experiment, trials: dict[str, Draw], left: dict[str, dict[str, Any]], ray: Started
) -> _Trials:
    """Those of `left`, and those that are still to be drawn, which are added to `trials`."""
    from ray import tune
    from ray.tune.search import BasicVariantGenerator

    at_a_time = trials_at_a_time(ray.spec, ray.machines)
    # settings as text: Ray would evaluate a section such as {eval: TEXT} as Python
    configs = [{"name": name, "settings": json.dumps(settings)} for name, settings in left.items()]
    if are_drawn(experiment, trials):
        space = {"trial": tune.grid_search(configs)}
        return _Trials(space, 1, BasicVariantGenerator(max_concurrent=at_a_time))

    def next_trial() -> dict[str, Any] | None:
        if configs:
            return configs.pop(0)
        if are_drawn(experiment, trials):
            return None
        name = add_trial(experiment, trials, suggest(experiment, trials))
        return {"name": name, "settings": json.dumps(settings_of(experiment, trials[name]))}

    number = len(configs) + experiment.ray.num_samples - len(trials)
    return _Trials({}, number, searcher_of(next_trial, at_a_time))


def _tuner(start: TrialStart, ray: Started, trials: _Trials, scheduler: Any, callback: Any) -> Any:
    """A search of Ray Tune over just these trials; its own files go to a scratch folder."""
    from ray import tune

    def train(config: dict[str, Any]) -> dict[str, str] | None:
        return train_trial(config, start)

    return tune.Tuner(
        tune.with_resources(train, _resources(ray.spec)),
        param_space=trials.space,
        tune_config=tune.TuneConfig(
            scheduler=scheduler,
            search_alg=trials.search_alg,
            num_samples=trials.number,
            trial_name_creator=lambda trial: trial.config["trial"]["name"],
            trial_dirname_creator=lambda trial: trial.config["trial"]["name"],
        ),
        run_config=tune.RunConfig(
            name="search",
            storage_path=str(ray.scratch),
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=ray.spec.max_failures),
            verbose=0,
        ),
    )


def _resources(spec: RaySpec) -> dict[str, float]:
    """What the process of a trial takes: with several ranks nothing, since they have processes of their own.

    It is then on the head node, and Ray Tune wants some resource: a share of the mark that this node has.
    """
    if spec.workers_per_trial > 1:
        return {"node:__internal_head__": 1e-3}
    return {"cpu": spec.cpus_per_trial, "gpu": spec.gpus}


def _conclude(experiment: Experiment, failed: dict[str, str]) -> bool:
    """Print the results; mark the experiment as finished when every trial has ended, and return whether it has.

    Raises:
        UserError: trials failed, or every one has diverged.
    """
    trials = trials_of(experiment)
    if failed:
        first = experiment.folder / next(iter(failed)) / ERROR_FILE
        raise UserError(
            f"{len(failed)} of {len(trials)} trials failed: {'; '.join(sorted(set(failed.values())))}; details in "
            f"{first}; repair the cause, then: {make('training', '--resume')}; with other settings: "
            f"{make('training', '--fresh')}"
        )
    ended = [read_end(experiment.folder / name) is not None for name in trials]
    if not all(ended) or not are_drawn(experiment, trials):  # Ray Tune was interrupted
        return False
    write_record(experiment, finished=True)
    write_overview(experiment, trials)
    write_totals(experiment.folder, trials, experiment.training)
    diverged = summary(experiment, trials)
    print(*diverged, sep="\n", end="\n" if diverged else "")
    if len(diverged) == len(trials):
        raise UserError(
            f"{experiment.folder}: every trial has diverged; change the settings named above, then start again: "
            f"{make('training', '--fresh')}"
        )
    return True


def print_best(folder: Path) -> None:
    """Print the best trial and its metric."""
    best = find_trial(folder)
    select_on = best.params["training"]["select_on"]
    value = best.checkpoint.metrics[select_on]
    print(f"best trial: {best.folder}, epoch {best.checkpoint.epoch}, {select_on} {value:.4f} (validation)")
