"""Where the scripts of stage 1 compute: processes of this machine, or actors of Ray; chosen here for all of them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from models.frozen.place import EncoderPlace, place_here
from tasks.base import RunSpec
from utils.cli_utils import UserError
from utils.executors import Executor, Processes
from utils.model_utils import choose_device
from utils.model_utils.devices import DeviceName, Precision
from utils.process_utils import all_cores
from utils.tune_utils import ActorShape, Stage1Cluster, stage_1_cluster


def add_ray_option(parser: argparse.ArgumentParser) -> None:
    """Add `--ray`."""
    parser.add_argument(
        "--ray",
        action="store_true",
        help="compute under Ray: on the cluster of ray.address, or where that is null on a Ray of this machine alone; "
        "a ray.address that is set is used in any case",
    )


@contextlib.contextmanager
def executor_for(run: RunSpec, ray: bool, seen: Sequence[Path], workers: int | None) -> Iterator[Executor]:
    """What decodes clips and computes with one thread each, inside the block.

    Args:
        run: its `ray.address` and `data.features`.
        ray: `--ray`.
        seen: files and folders that every machine of a cluster must see, besides data.features.
        workers: processes; None: one a core, of all machines.
    Raises:
        UserError: Ray cannot be started or reached, or a machine does not see a folder.
    """
    if not _on_ray(run, ray):
        yield Processes(workers or all_cores())
        return
    with stage_1_cluster(run.ray.address, run.data.features, seen) as cluster:
        executor = cluster.executor(ActorShape(1), workers)
        print(cluster.describe(executor))
        yield executor


@contextlib.contextmanager
def encoder_place(
    run: RunSpec, ray: bool, seen: Sequence[Path], wanted: tuple[DeviceName, Precision], workers: int | None
) -> Iterator[EncoderPlace]:
    """Where a frozen encoder computes, inside the block.

    Args:
        run: its `ray.address` and `data.features`.
        ray: `--ray`.
        seen: files and folders that every machine of a cluster must see, besides data.features.
        wanted: device and precision.
        workers: threads that decode; None: as many as there are cores for a process.
    Raises:
        UserError: as of `executor_for`, or there is no such device.
    """
    if not _on_ray(run, ray):
        yield place_here(choose_device(*wanted), workers or all_cores())
        return
    with stage_1_cluster(run.ray.address, run.data.features, seen) as cluster:
        device = _device_of(cluster, *wanted)
        executor = cluster.executor_of_encoders(torch.get_num_threads(), gpus=device.type == "cuda")
        print(cluster.describe(executor))
        # the GPU of this machine, if any, is that of an actor
        yield EncoderPlace(executor, device, torch.device("cpu"), workers or executor.shape.cpus)


def _on_ray(run: RunSpec, ray: bool) -> bool:
    return ray or run.ray.address is not None


def _device_of(cluster: Stage1Cluster, name: DeviceName, precision: Precision) -> torch.device:
    """The device of the actors, as `choose_device` chooses it of one machine."""
    if name == "cuda" and not cluster.has_gpus:
        raise UserError("training.device: cuda, but no machine of Ray has a GPU; use auto or cpu")
    device = torch.device("cuda" if name != "cpu" and cluster.has_gpus else "cpu")
    if precision == "fp16" and device.type == "cpu":
        raise UserError("training.precision: fp16 needs a GPU, and no machine of Ray has one; use bf16 or fp32")
    return device


def files_of(model: str) -> list[Path]:
    """The folder or file of a model that every machine must see; none where it is a package or a hub's name."""
    path = Path(model).expanduser()
    return [path] if path.exists() else []
