"""Several ranks on this machine, as gloo connects them, without Ray."""

import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

_PRELOADED = ["torch", "tests.training", "models.captioner", "models.classifiers", "tasks.runs"]
_TIMEOUT_S = 240


def on_ranks(count: int, folder: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `function(*arguments)` returns on each rank, in their order; it is one of a module.

    Args:
        count: of ranks.
        folder: an empty one, where they find each other.
    """
    context = multiprocessing.get_context("forkserver")  # a fork of this process would have its threads' locks
    context.set_forkserver_preload(_PRELOADED)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        context.Process(target=_run, args=(rank, count, folder, function, arguments), daemon=True)
        for rank in range(count)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(_TIMEOUT_S)
    found = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]
    for rank, (is_right, result) in enumerate(found):
        assert is_right, f"rank {rank}:\n{result}"
    return [result for _, result in found]


def _run(rank: int, count: int, folder: Path, function: Callable[..., Any], arguments: Any) -> None:
    torch.set_num_threads(1)
    timeout = timedelta(seconds=_TIMEOUT_S)
    dist.init_process_group("gloo", f"file://{folder}/meeting", timeout=timeout, world_size=count, rank=rank)
    try:
        torch.save((True, function(*arguments)), folder / f"{rank}.pt")
    except BaseException:  # noqa: BLE001 - shown by the test
        torch.save((False, traceback.format_exc()), folder / f"{rank}.pt")
        os._exit(1)  # the others wait for this one, and fail
    dist.barrier()
    dist.destroy_process_group()
