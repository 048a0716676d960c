"""A trial of several processes: Ray Train starts the ranks, on one machine or on several, and connects them."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import shutil
import threading
from typing import Any

from utils.cli_utils import UserError
from utils.model_utils import DivergedError
from utils.tune_utils.connection import one_line
from utils.tune_utils.folder import UNSAVED
from utils.tune_utils.rank import Send, TrialStart, train_rank

# For ranks to find each other, and for one to wait for another in a step; a broken network is reported after that.
_CONNECT_S = 600

# Ray Train looks so often for room for the ranks, each time for a minute; without a limit it would wait for ever.
_MOST_STARTS = 10

# Ray Train's own settings, where the user has none.
_TRAIN_SETTINGS = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # no epoch can be shorter
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process more for every trial; lost ranks are noticed without it
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # ranks print as trials of one process do
}


class LostRankError(RuntimeError):
    """A rank, its machine or its connection is gone; nothing is known to be wrong with the trial itself."""


class Rows:
    """An actor between rank 0 and the process of the trial, which alone can report to Ray Tune."""

    def __init__(self) -> None:
        self._given: asyncio.Queue[tuple[dict[str, float], asyncio.Event]] = asyncio.Queue()
        self._taken = asyncio.Event()

    async def give(self, row: dict[str, float]) -> None:
        """Hand over a row; returns when the next one is asked for, which is when the trial may go on."""
        may_go_on = asyncio.Event()
        await self._given.put((row, may_go_on))
        await may_go_on.wait()

    async def take(self) -> dict[str, float]:
        """Wait for the next row."""
        self._taken.set()
        row, self._taken = await self._given.get()
        return row


def train_ranks(config: dict[str, Any], start: TrialStart, send: Send) -> None:
    """Train a trial in `ray.workers_per_trial` processes, from its newest whole checkpoint on.

    Args:
        config: name and settings of the trial.
        start: what all trials share.
        send: reports a row to Ray Tune; returns when the trial may go on.
    Raises:
        DivergedError, UserError: what a rank has raised.
        LostRankError: a rank is gone.
    """
    import ray.exceptions
    import ray.train

    for key, value in _TRAIN_SETTINGS.items():
        os.environ.setdefault(key, value)
    rows = ray.remote(Rows).options(num_cpus=0).remote()
    files = start.folder / f"{UNSAVED}ray-{config['trial']['name']}"  # Ray Train wants one that all machines see
    trainer = _trainer(functools.partial(_run_rank, config, start, rows), start, str(files))
    # a daemon: it waits for a row more than there are, and Python waits for any other thread
    threading.Thread(target=_forward, args=(rows, send), daemon=True).start()
    try:
        trainer.fit()
    except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
        raise cause_of(error) from error
    finally:
        shutil.rmtree(files, ignore_errors=True)


def _forward(rows: Any, send: Send) -> None:
    """Report what rank 0 gives, a row at a time, until the trial has ended, and with it the actor."""
    import ray
    from ray.exceptions import RayActorError

    while True:
        try:
            row = ray.get(rows.take.remote())
        except RayActorError:
            return
        send(row)


def _run_rank(config: dict[str, Any], start: TrialStart, rows: Any) -> None:
    """What every rank does."""
    import ray.train
    from ray.train.v2._internal.execution import context

    # errors reach the search, which reports them in one line; of a trial that is stopped, ranks lose each other
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)
    context.logger.setLevel(logging.WARNING)  # named after its file: a line for every report of every rank

    def send(metrics: dict[str, float]) -> None:
        ray.get(rows.give.remote(metrics))

    # Ray's barrier, not torch's: it has no time limit, and rank 0 may have to wait for the search
    train_rank(config, start, send, meet=lambda: ray.train.report({}))


def cause_of(error: Exception) -> Exception:
    """What has ended a trial: of all that its ranks have raised the first cause, since one that is gone fails others.

    Args:
        error: what Ray Train has raised.
    """
    from ray.train import ControllerError, WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

    if isinstance(error, ControllerError):
        failure = error.controller_failure
        if isinstance(failure, WorkerGroupStartupTimeoutError):
            return UserError(
                f"for {_MOST_STARTS} minutes there was no room for the {failure.num_workers} ranks of a trial: a "
                "machine is gone, or somebody else uses it; when it is back, go on with --resume, or lower "
                "ray.workers_per_trial"
            )
        reason = one_line(getattr(failure, "cause", None) or failure)  # without the traceback of the rank
        return UserError(
            f"the ranks of a trial cannot be started or connected: {reason}; look at the network between the machines "
            "(a firewall; GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME names the interface), or use "
            "ray.workers_per_trial: 1"
        )
    if not isinstance(error, WorkerGroupError):
        return LostRankError(one_line(error)) if _is_lost(error) else error
    failures = error.worker_failures
    for kind in (DivergedError, UserError):
        for failure in failures.values():
            if isinstance(failure, kind):
                return failure
    lost = [rank for rank, failure in failures.items() if _is_lost(failure)]
    if not lost:
        return error
    gone = [rank for rank in lost if not _is_connection(failures[rank])]
    if gone:
        return LostRankError(f"rank {_listed(gone)}: killed, such as for lack of memory, or its machine is gone")
    return LostRankError(f"rank {_listed(lost)}: the connection to another rank broke: {one_line(failures[lost[0]])}")


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _is_lost(error: Exception) -> bool:
    """Whether a process is gone, or the connection to one."""
    from ray.exceptions import RayError
    from ray.train.v2._internal.exceptions import RayTrainError

    return isinstance(error, (RayError, RayTrainError)) or _is_connection(error)


def _is_connection(error: Exception) -> bool:
    """Whether it is the other end that is gone, or the network."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)


def _trainer(run: Any, start: TrialStart, files: str) -> Any:
    """Ray Train's trainer, without two helpers that cost a process and need what a local Ray does not start."""
    from ray.train.torch import TorchConfig
    from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
    from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
    from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.v2.torch.torch_trainer import TorchTrainer

    class FixedRanks(FixedScalingPolicy):
        """As many ranks as the YAML says; a waiting placement group tells an autoscaler what is missing."""

        def after_controller_start(self, train_run_context: Any) -> None:
            del train_run_context

        def _maybe_send_resource_request(self) -> None:
            pass

    class Trainer(TorchTrainer):
        def _create_default_callbacks(self) -> list[Any]:
            # it asks the dashboard whether the trial lives; utils.tune_utils.placement asks Ray itself
            made = super()._create_default_callbacks()
            return [one for one in made if not isinstance(one, PlacementGroupCleanerCallback)]

        def _initialize_and_run_controller(self, **given: Any) -> Any:
            given["scaling_policy"] = FixedRanks(given["scaling_policy"].scaling_config)
            return super()._initialize_and_run_controller(**given)

    spec = start.spec
    resources = {"CPU": spec.cpus_per_trial, "GPU": spec.gpus}
    return Trainer(
        run,
        torch_config=TorchConfig(timeout_s=_CONNECT_S),
        scaling_config=ScalingConfig(
            num_workers=spec.workers_per_trial,
            use_gpu=spec.gpus > 0,
            resources_per_worker={key: value for key, value in resources.items() if value},
        ),
        run_config=RunConfig(
            name="ranks",
            storage_path=files,
            # Ray Tune starts the trial again
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=0, controller_failure_limit=_MOST_STARTS - 1
            ),
            logging_config=LoggingConfig(log_level="CRITICAL"),
            # torch would warn where every parameter is used; the machines of a cluster do not inherit our environment
            worker_runtime_env={"env_vars": {"TORCH_CPP_LOG_LEVEL": "ERROR"}},
        ),
    )
