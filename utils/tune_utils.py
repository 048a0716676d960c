"""Search space, trials, resume: the only importer of ray, which it imports when it starts."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from utils.artefact_utils import write_json
from utils.cli_utils import UserError, command_for
from utils.config_utils import Spec, set_key, value_at
from utils.model_utils import Fit, LRSchedulerSpec, OptimizerSpec, Task, TrainingSpec, find_trial
from utils.model_utils.trials import checkpoint_folders

EXPERIMENT_FILE = "experiment.json"
_UNSAVED = ".checkpoint-"  # prefix of the folders where trials write a checkpoint before Ray keeps it

_RAY_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of the YAML hold in every trial
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are reported in one line, and whole in error.txt
    "RAY_AIR_NEW_OUTPUT": "0",  # its summary would repeat ours
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

# distribution -> (numbers it takes, its name in ray.tune)
_RANGES = {"uniform": 2, "loguniform": 2, "randint": 2, "quniform": 3, "qloguniform": 3, "qrandint": 3}
_LISTS = ("grid", "choice")


class Distribution(Spec):
    """One line of `search:`, such as {loguniform: [1.0e-4, 1.0e-2]} or {choice: [16, 32]}."""

    grid: list[Any] | None = Field(None, min_length=1)
    choice: list[Any] | None = Field(None, min_length=1)
    uniform: tuple[float, float] | None = None
    loguniform: tuple[float, float] | None = None
    randint: tuple[int, int] | None = None
    quniform: tuple[float, float, float] | None = None
    qloguniform: tuple[float, float, float] | None = None
    qrandint: tuple[int, int, int] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Distribution:
        name, values = self.only()
        if name in _RANGES and not values[0] < values[1]:
            raise ValueError(f"{name} needs low < high")
        if name in ("loguniform", "qloguniform") and values[0] <= 0:
            raise ValueError(f"{name} needs low > 0")
        if _RANGES.get(name) == 3 and (values[2] <= 0 or not all(_is_multiple(v, values[2]) for v in values[:2])):
            raise ValueError(f"{name} needs [low, high, step], with low and high multiples of step > 0")
        return self

    def only(self) -> tuple[str, list[Any]]:
        """The name of the distribution and its values."""
        given = {name: list(values) for name, values in self if values is not None}
        if len(given) != 1:
            raise ValueError(f"needs one distribution, found {len(given)}; choices: {', '.join((*_LISTS, *_RANGES))}")
        return next(iter(given.items()))

    def extremes(self) -> list[Any]:
        """Values that a Spec must accept: each one of a list, both ends of a range, and what may lie between."""
        name, values = self.only()
        if name in _LISTS:
            return values
        low, high, step = (*values, None)[:3]
        if name == "randint" or (name == "qrandint" and step == 1):  # these never draw `high`
            return [low, high - 1]
        if step is not None:
            return [low, high, low + step]
        return [low, high, low + (high - low) / math.e]  # a number with a fraction: a key may take whole ones alone


def _is_multiple(value: float, step: float) -> bool:
    return math.isclose(value / step, round(value / step), abs_tol=1e-9)


class PlateauStopperSpec(Spec):
    """`ray.stopper`: stop a trial whose metric has stopped moving."""

    std: float = Field(0.001, ge=0)
    num_results: int = Field(10, ge=2)
    grace_epochs: int = Field(10, ge=1)


class RaySpec(Spec):
    """The `ray:` block: how many trials, which are stopped early, and where they run."""

    num_samples: int = Field(1, ge=1, le=100_000)
    scheduler: Literal["asha", "fifo"] = "asha"
    grace_epochs: int = Field(2, ge=1)  # asha stops no trial before
    reduction_factor: int = Field(3, ge=2)  # asha goes on with one trial in so many
    stopper: PlateauStopperSpec | None = None
    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float = Field(0, ge=0)
    max_concurrent: int | None = Field(None, ge=1)
    address: str | None = None  # of a running cluster; null starts one for this run alone
    keep_checkpoints: int = Field(2, ge=1)


class Search(NamedTuple):
    """What the trials of an experiment share."""

    run: dict[str, Any]  # the checked run, as plain values
    distributions: Mapping[str, Distribution]
    ray: RaySpec
    training: TrainingSpec
    folder: Path  # runs/<experiment>


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
    unfinished = _prepare_folder(search, resume=resume, fresh=fresh)
    if unfinished is None:
        return True
    os.environ.update(_RAY_SETTINGS)
    import ray

    ray.init(
        address=search.ray.address or "local",
        include_dashboard=None if search.ray.address else False,
        log_to_driver=True,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"PYTHONPATH": _import_path()}},
    )
    try:
        with _watch_for_interrupt() as interrupted:
            results = _tuner(search, build_task, parts, restore=unfinished).fit()
    finally:
        ray.shutdown()
    return _conclude(search, results, interrupted=interrupted())


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


def _prepare_folder(search: Search, *, resume: bool, fresh: bool) -> bool | None:
    """Whether to restore an unfinished experiment; None when it is finished already."""
    folder = search.folder
    record = folder / EXPERIMENT_FILE
    if fresh and folder.exists():
        aside = next(p for n in range(1, 10_000) if not (p := folder.with_name(f"{folder.name}.old-{n}")).exists())
        shutil.move(folder, aside)
        print(f"moved {folder} to {aside}")
    if not record.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder}: holds no experiment of this program; move it, or use --set experiment=NAME")
        if resume:
            print(f"{folder}: nothing to resume; starting")
        write_json(record, {"format_version": 1, "run": search.run, "finished": False})
        return False
    held = _read_record(record)
    changed = _changed_keys(held["run"], search.run)
    if changed:
        raise UserError(
            f"{folder}: holds an experiment with other settings ({', '.join(changed)}); "
            "use --set experiment=NAME, or --fresh to move it aside and start again"
        )
    if held["finished"]:
        print(f"{folder}: every trial has ended with these settings; reused (--fresh starts again)")
        return None
    if not resume:
        raise UserError(f"{folder}: holds an unfinished experiment; go on with --resume, or start again with --fresh")
    for leftover in folder.glob(f"{_UNSAVED}*"):  # what a killed trial was writing
        shutil.rmtree(leftover)
    return (folder / "tuner.pkl").is_file()


def _read_record(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return {"run": dict(held["run"]), "finished": bool(held["finished"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the record of an experiment; move the folder aside with --fresh") from error


def _changed_keys(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [k for key in sorted({*old, *new}) for k in _changed_keys(old.get(key), new.get(key), f"{path}.{key}")]
    return [] if old == new else [f"{path.removeprefix('.')}: {old} -> {new}"]


def _tuner(search: Search, build_task: BuildTask, parts: Parts, *, restore: bool) -> Any:
    from ray import tune

    def train_trial(config: dict[str, Any]) -> None:
        _train_trial(config, build_task, parts, search.folder.absolute())

    trainable = tune.with_resources(train_trial, {"cpu": search.ray.cpus_per_trial, "gpu": search.ray.gpus_per_trial})
    space = json.loads(json.dumps(search.run)) | {"search": {}}
    for key, distribution in search.distributions.items():
        set_key(space, key, _ray_domain(distribution))
    if restore:
        return tune.Tuner.restore(
            str(search.folder), trainable, resume_unfinished=True, resume_errored=True, param_space=space
        )
    return tune.Tuner(trainable, param_space=space, tune_config=_tune_config(search), run_config=_run_config(search))


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
            training.select_on,
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
    trial_folder = experiment / _trial_name(context.get_trial_id())
    last = tune.get_checkpoint()
    if last is not None:
        folders = [f for f in checkpoint_folders(trial_folder) if f.name <= Path(last.path).name]
        fit.restore(folders)

    def report(metrics: dict[str, float], save: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(dir=experiment, prefix=_UNSAVED) as folder:
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
    record = {"format_version": 1, "run": search.run, "finished": True}
    write_json(search.folder / EXPERIMENT_FILE, record)
    return True


def print_best(folder: Path) -> None:
    """Print the best trial, its metric, and the next command."""
    best = find_trial(folder)
    select_on = best.params["training"]["select_on"]
    value = best.checkpoint.metrics[select_on]
    print(f"best trial: {best.folder}, epoch {best.checkpoint.epoch}, {select_on} {value:.4f} (validation)")
    print(f"next: {command_for('postprocessing.xmodal_scores')}")
