"""Trials under Ray Tune: start or join Ray, run or restore the trials, say what came out."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError, command_for
from utils.config_utils import set_key, value_at
from utils.model_utils import Fit, LRSchedulerSpec, OptimizerSpec, Task, TrainingSpec, find_trial
from utils.model_utils.trials import checkpoint_folders
from utils.tune_utils.folder import UNSAVED, make_stand_ins, prepare_folder, remove_stand_ins, write_record
from utils.tune_utils.spec import Distribution, RaySpec, Search, check_resources

_RAY_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of the YAML hold in every trial
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",  # two trials at the same step are not one message
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are reported in one line, and whole in error.txt
    "RAY_COLOR_PREFIX": "0",  # what the commands print holds no control characters
    "RAY_AIR_NEW_OUTPUT": "0",  # its summary would repeat ours
    "TUNE_GLOBAL_CHECKPOINT_S": "2",  # how often Ray saves its state; it loses what is younger
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

# distribution -> (numbers it takes, its name in ray.tune)
BuildTask = Callable[[dict[str, Any]], Task]
Parts = Callable[[dict[str, Any]], tuple[TrainingSpec, OptimizerSpec, LRSchedulerSpec]]


def launch(search: Search, build_task: BuildTask, parts: Parts, *, resume: bool, fresh: bool) -> bool:
    """Train every trial under Ray Tune, in runs/<experiment>/<trial>/.

    Args:
        search: run, distributions and resources.
        build_task: a trial's settings -> its task; called in the trial's process.
        parts: a trial's settings -> its checked training, optimizer and lr_scheduler sections.
        resume: go on with an unfinished experiment.
        fresh: move what stands in the folder aside and start again.
    Returns:
        True when every trial has ended, False when the run was interrupted.
    Raises:
        UserError: the folder holds another or an unfinished experiment, or trials failed.
    """
    unfinished = prepare_folder(search, resume=resume, fresh=fresh)
    if unfinished is None:
        return True
    os.environ.update(_RAY_SETTINGS)
    import ray

    _connect(search.ray)
    try:
        with _watch_for_interrupt() as interrupted:
            results = _tuner(search, build_task, parts, restore=unfinished).fit()
    finally:
        ray.shutdown()
        remove_stand_ins(search.folder)
    return _conclude(search, results, interrupted=interrupted())


def _connect(spec: RaySpec) -> None:
    """Start a Ray of our own, or join the one that `ray.address` names.

    Raises:
        UserError: it cannot be reached, or has too little for one trial.
    """
    import ray

    host, _, port = (spec.address or "").rpartition(":")
    try:
        if port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), timeout=5).close()  # Ray itself tries for minutes
        ray.init(
            address=spec.address or "local",
            include_dashboard=None if spec.address else False,
            log_to_driver=True,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {"PYTHONPATH": _import_path()}},
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"ray.address: no Ray cluster can be reached at {spec.address}: {error}; start it, or use null"
        ) from error
    there = ray.cluster_resources()
    check_resources(spec, there.get("CPU", 0), there.get("GPU", 0))


def _import_path() -> str:
    """PYTHONPATH of the trials' processes: this project first, wherever the command was given."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(Path(__file__).resolve().parents[1]), *([given] if given else [])])


@contextlib.contextmanager
def _watch_for_interrupt() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C came: Ray handles it, saves its state, and returns as if all trials had ended."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        previous = signal.set_wakeup_fd(writer.fileno())
        seen: list[int] = []
        try:
            yield lambda: signal.SIGINT in seen
        finally:
            signal.set_wakeup_fd(previous)
            with contextlib.suppress(BlockingIOError):
                seen += reader.recv(4096)


def _tuner(search: Search, build_task: BuildTask, parts: Parts, *, restore: bool) -> Any:
    from ray import tune

    def train_trial(config: dict[str, Any]) -> None:
        _train_trial(config, build_task, parts, search.folder.absolute())

    trainable = tune.with_resources(train_trial, {"cpu": search.ray.cpus_per_trial, "gpu": search.ray.gpus_per_trial})
    space = json.loads(json.dumps(search.run)) | {"search": {}}
    for key, distribution in search.distributions.items():
        set_key(space, key, _ray_domain(distribution))
    if restore:
        return _restored(search.folder, trainable, space)
    return tune.Tuner(trainable, param_space=space, tune_config=_tune_config(search), run_config=_run_config(search))


def _restored(folder: Path, trainable: Any, space: dict[str, Any]) -> Any:
    """The tuner of an unfinished experiment, as Ray saved it."""
    from ray import tune

    make_stand_ins(folder)
    try:
        return tune.Tuner.restore(
            str(folder), trainable, resume_unfinished=True, resume_errored=True, param_space=space
        )
    except Exception as error:
        raise UserError(
            f"{folder}: Ray's record of the experiment cannot be read ({type(error).__name__}); "
            f"move it aside and start again: {command_for('main.py', '--fresh')}"
        ) from error


def _ray_domain(distribution: Distribution) -> Any:
    from ray import tune

    name, values = distribution.only()
    lists = {"grid": tune.grid_search, "choice": tune.choice}
    ranges: dict[str, Callable[..., Any]] = {
        "uniform": tune.uniform,
        "loguniform": tune.loguniform,
        "randint": tune.randint,
        "quniform": tune.quniform,
        "qloguniform": tune.qloguniform,
        "qrandint": tune.qrandint,
    }
    return lists[name](values) if name in lists else ranges[name](*values)


def _tune_config(search: Search) -> Any:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
    from ray.tune.search import BasicVariantGenerator

    spec, training = search.ray, search.training
    asha = ASHAScheduler(
        time_attr="epoch",  # Ray's own count goes on when a broken checkpoint makes a trial repeat an epoch
        max_t=training.epochs,
        grace_period=min(spec.grace_epochs, training.epochs),
        reduction_factor=spec.reduction_factor,
    )
    return tune.TuneConfig(
        metric=training.select_on,
        mode=training.mode,
        num_samples=spec.num_samples,
        scheduler=asha if spec.scheduler == "asha" else FIFOScheduler(),
        search_alg=BasicVariantGenerator(random_state=training.seed % 2**32, max_concurrent=spec.max_concurrent or 0),
        trial_dirname_creator=lambda trial: _trial_name(trial.trial_id),
        trial_name_creator=lambda trial: _trial_name(trial.trial_id),
    )


def _run_config(search: Search) -> Any:
    from ray import tune
    from ray.tune.stopper import TrialPlateauStopper

    spec, training = search.ray, search.training
    stopper = None
    if spec.stopper is not None:
        stopper = TrialPlateauStopper(
            spec.stopper.watch or training.select_on,
            std=spec.stopper.std,
            num_results=spec.stopper.num_results,
            grace_period=spec.stopper.grace_epochs,
        )
    return tune.RunConfig(
        name=search.folder.name,
        storage_path=str(search.folder.parent.absolute()),
        stop=stopper,
        callbacks=[_progress_lines(search)],
        checkpoint_config=tune.CheckpointConfig(
            num_to_keep=spec.keep_checkpoints,
            checkpoint_score_attribute=training.select_on,
            checkpoint_score_order=training.mode,
        ),
        verbose=0,
    )


def _progress_lines(search: Search) -> Any:
    """A callback that prints what a trial tries, and a line for every epoch."""
    from ray import tune

    training = search.training

    class ProgressLines(tune.Callback):
        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            del iteration, trials
            tried = ", ".join(f"{key} {value_at(trial.config, key)}" for key in search.distributions)
            print(f"{_trial_name(trial.trial_id)}: starts{', ' if tried else ''}{tried}", flush=True)

        def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **_: Any) -> None:
            del iteration, trials
            select_on = training.select_on
            print(
                f"{_trial_name(trial.trial_id)}: epoch {result['epoch']:.0f}/{training.epochs}, "
                f"train_loss {result['train_loss']:.4f}, {select_on} {result[select_on]:.4f}, "
                f"{result['epoch_s']:.1f} s",
                flush=True,
            )

    return ProgressLines()


def _trial_name(trial_id: str) -> str:
    """`trial_00000`, without the random part of Ray's id."""
    return f"trial_{trial_id.rsplit('_', 1)[-1]}"


def _train_trial(config: dict[str, Any], build_task: BuildTask, parts: Parts, experiment: Path) -> None:
    """One trial, in its own process."""
    import torch
    from ray import tune

    logging.getLogger("ray.train").setLevel(logging.WARNING)  # a line for every checkpoint
    # Ray sets OMP_NUM_THREADS to 1 where a trial asks for less than a whole CPU or for none
    context = tune.get_context()
    torch.set_num_threads(max(1, int(context.get_trial_resources().required_resources.get("CPU", 1))))
    fit = Fit(build_task(config), *parts(config))
    # Ray's own state may be older than the checkpoints; what is on disk counts
    fit.restore(checkpoint_folders(experiment / Path(context.get_trial_dir()).name))

    def report(metrics: dict[str, float], save: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(dir=experiment, prefix=UNSAVED) as folder:
            save(Path(folder))
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))

    fit.run(report, config)


def _conclude(search: Search, results: Any, *, interrupted: bool) -> bool:
    """Say what came out; mark the experiment as finished when every trial has ended."""
    if interrupted:
        print(f"interrupted; go on with: {command_for('main.py', '--resume')}")
        return False
    failed = [result for result in results if result.error is not None]
    if failed:
        causes = {
            str(getattr(result.error, "cause", None) or result.error).strip().splitlines()[-1] for result in failed
        }
        raise UserError(
            f"{len(failed)} of {len(results)} trials failed: {'; '.join(sorted(causes))}; details in "
            f"{failed[0].path}/error.txt; repair the cause, then: {command_for('main.py', '--resume')}"
        )
    write_record(search, finished=True)
    return True


def print_best(folder: Path) -> None:
    """Print the best trial, its metric, and the next command."""
    best = find_trial(folder)
    select_on = best.params["training"]["select_on"]
    value = best.checkpoint.metrics[select_on]
    print(f"best trial: {best.folder}, epoch {best.checkpoint.epoch}, {select_on} {value:.4f} (validation)")
    print(f"next: {command_for('postprocessing.xmodal_scores')}")
