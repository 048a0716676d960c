"""Work shared out among processes of one thread each, which end with their parent however it ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from typing import Literal, ParamSpec, TypeVar

from utils.cli_utils import UserError

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

_IN_FLIGHT = 4  # tasks a worker: enough to keep it busy, few enough to hold their results


class WorkerError(Exception):
    """An error of a worker process whose own class cannot travel; its text is kind, message and traceback."""


def all_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def worker_pool(workers: int, start: Literal["fork", "spawn"] = "fork") -> Iterator[ProcessPoolExecutor]:
    """A pool of processes; what still waits is not started when the block raises.

    Args:
        workers: processes.
        start: fork inherits what is imported and computed; spawn starts clean, without this process's libraries.
    Raises:
        UserError: a worker was killed.
    """
    context = multiprocessing.get_context(start)
    with _Pool(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for want of memory; "
                "run again with fewer --workers: it goes on from here"
            ) from None
        except BaseException:  # a full disk or Ctrl-C
            pool.shutdown(cancel_futures=True)
            raise


def ordered_map(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Generator[R]:
    """The results of `function`, in the order of `tasks`, few of them in flight; one worker is this process itself.

    Raises:
        UserError: a worker process was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    waiting: deque[Future[R]] = deque()
    with worker_pool(workers, "spawn") as pool:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= _IN_FLIGHT * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Pool(ProcessPoolExecutor):
    """A pool whose workers hand on every error; the standard one takes a class that cannot travel for a kill."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return super().submit(_handing_on_errors, fn, *args, **kwargs)


def _handing_on_errors(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return function(*args, **kwargs)
    except Exception as error:
        try:
            ForkingPickler.loads(ForkingPickler.dumps(error))
        except Exception:  # noqa: BLE001 - whatever its class raises on the way
            raise WorkerError(f"{type(error).__name__}: {error}") from error
        raise


def _start_worker() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
