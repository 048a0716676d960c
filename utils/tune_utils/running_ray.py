"""Ray while trials or stage 1 run: one of our own, or a cluster that runs already."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.cli_utils import UserError
from utils.model_utils.devices import DeviceName
from utils.tune_utils.cluster import check_nodes, join_cluster, joined_environment, live_nodes
from utils.tune_utils.connection import PROJECT, environment
from utils.tune_utils.local_ray import local_environment, start_local
from utils.tune_utils.resources import Machine, check_resources, with_gpus
from utils.tune_utils.scratch import scratch_folder
from utils.tune_utils.spec import RaySpec

_RAY_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # trials enter the folder where the command was given
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",  # two trials at the same step are not one message
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the later default of Ray, which warns where it is not chosen
    "RAY_TQDM_PATCH_PRINT": "0",  # `print` stays Python's own when Ray has gone
    "RAY_COLOR_PREFIX": "0",  # what the commands print holds no control characters
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are reported in one line, and whole in error.txt
    "RAY_AIR_NEW_OUTPUT": "0",  # its summary would repeat ours
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own rows reach the disk as they come
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "5",  # ranks that wait for one that has failed cannot leave the group
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # Ray's own state of the experiment is not used
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def ray_settings() -> contextlib.AbstractContextManager[None]:
    """Ray's settings in the environment inside the block; some are read when Ray is imported, and never again."""
    return environment(_RAY_SETTINGS | {"PYTHONPATH": _import_path()})


class Started(NamedTuple):
    """A Ray that runs, and what it has for trials."""

    scratch: Path  # for temporary files of the search, removed at the end
    spec: RaySpec  # with a number in place of `gpus_per_trial: auto`
    machines: list[Machine]


@contextlib.contextmanager
def running_ray(
    spec: RaySpec, experiment: Path, device: DeviceName = "auto", paths: Sequence[Path] = ()
) -> Iterator[Started]:
    """Ray inside the block: one of our own, or the cluster that `ray.address` names.

    Args:
        spec: the `ray:` block.
        experiment: runs/<experiment>, absolute; every machine must see it.
        device: `training.device`.
        paths: what else trials read, absolute.
    Raises:
        UserError: Ray cannot be started or reached, has too little for one trial, or a machine cannot run trials.
    """
    with ray_session(spec.address, experiment) as scratch:
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # its warnings are about files that are not used
        machines = [machine for _, machine in live_nodes()]
        spec = with_gpus(spec, device, machines)
        check_resources(spec, machines)
        if device == "cuda" and spec.gpus == 0:
            raise UserError("training.device: cuda, but ray.gpus_per_trial: auto finds no GPU on any machine; use auto")
        if spec.address is not None:
            check_nodes(spec, experiment, paths)
        yield Started(scratch, spec, machines)


@contextlib.contextmanager
def ray_session(address: str | None, logs_folder: Path, *, quiet: bool = False) -> Iterator[Path]:
    """Ray inside the block: one of our own, or the cluster of an address.

    Args:
        address: of the cluster; None: start one on this machine.
        logs_folder: where the logs go if it does not start.
        quiet: what workers print is not shown here.
    Yields:
        A folder for temporary files, which is removed at the end.
    Raises:
        UserError: Ray cannot be started or reached.
    """
    with ray_settings(), scratch_folder() as scratch:
        import ray

        try:
            if address is None:
                with local_environment(scratch):
                    start_local(scratch, logs_folder, quiet=quiet)
                    yield scratch
            else:
                with joined_environment(address):
                    join_cluster(address, quiet=quiet)
                    yield scratch
        finally:
            ray.shutdown()


def _import_path() -> str:
    """PYTHONPATH of the trials' processes: this project first, wherever the command was given."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(PROJECT), *([given] if given else [])])
