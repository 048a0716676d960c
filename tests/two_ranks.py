"""Several ranks on this machine, as gloo connects them, without Ray."""

import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

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
    queue = context.SimpleQueue()
    jobs = [
        context.Process(target=_run, args=(rank, count, folder / "meeting", queue, function, arguments), daemon=True)
        for rank in range(count)
    ]
    for job in jobs:
        job.start()
    found = dict(queue.get() for _ in jobs)
    for job in jobs:
        job.join(_TIMEOUT_S)
    for rank, (is_right, result) in found.items():
        assert is_right, f"rank {rank}:\n{result}"
    return [found[rank][1] for rank in range(count)]


def _run(rank: int, count: int, meeting: Path, queue: Any, function: Callable[..., Any], arguments: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo", f"file://{meeting}", timeout=timedelta(seconds=_TIMEOUT_S), world_size=count, rank=rank
        )
        queue.put((rank, (True, function(*arguments))))
        dist.barrier()
    except BaseException:  # noqa: BLE001 - shown by the test
        queue.put((rank, (False, traceback.format_exc())))
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
