"""Pools of worker processes with one thread each; workers exit when their parent does, even if it is killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from utils.cli_utils import UserError

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

_IN_FLIGHT = 4  # submitted tasks per worker: enough to keep it busy, few enough to hold their results in memory


class WorkerError(Exception):
    """An error of a worker process that cannot be pickled; the text is its class and message."""


def all_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def worker_pool(workers: int, start: Literal["fork", "spawn"] = "fork") -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes; if the block raises, pending tasks are cancelled.

    Args:
        workers: number of processes.
        start: "fork" inherits imported modules and data; "spawn" starts a fresh interpreter, for libraries whose
            threads do not survive a fork.
    Raises:
        UserError: a worker was killed.
    """
    context = multiprocessing.get_context(start)
    with _Pool(workers, mp_context=context, initializer=start_worker) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, probably because memory ran out; run again with fewer --workers: "
                "finished work is not repeated"
            ) from None
        except BaseException:  # also Ctrl-C: without this the pool would first finish all pending tasks
            pool.shutdown(cancel_futures=True)
            raise


def ordered_map(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Generator[R]:
    """Yield `function(task)` in the order of `tasks`.

    Only a few tasks are submitted at a time: `Executor.map` would read all of `tasks` and hold all results. With one
    worker, everything runs in this process.

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
    """A pool that reports errors which cannot be unpickled; the standard one breaks, as if a worker was killed."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return super().submit(_with_picklable_errors, fn, *args, **kwargs)


def _with_picklable_errors(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return function(*args, **kwargs)
    except Exception as error:
        sent = picklable(error)
        if sent is error:
            raise
        raise sent from error


def picklable(error: Exception) -> Exception:
    """The error itself, or a WorkerError with its text where it cannot be sent to another process."""
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001 - pickling calls the error's own methods, which may raise anything
        return WorkerError(f"{type(error).__name__}: {error}")
    return error


def start_worker() -> None:
    """Prepare a process that works for another one: one thread, deaf to Ctrl-C, gone when its parent is."""
    if "torch" in sys.modules:  # there is a worker for each core already
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; only the parent reacts to it
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def reset_peak_memory() -> bool:
    """Let `peak_memory` begin anew; False where the system cannot (it is Linux that can)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory() -> float:
    """Return the most bytes of RAM that this process had since `reset_peak_memory`, or since it began."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux a child inherits its parent's ru_maxrss, but not VmHWM
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return float(fields["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
