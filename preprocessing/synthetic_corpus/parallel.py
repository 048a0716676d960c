"""Map a function over tasks in several processes: in order, with few tasks in flight."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from utils.cli_utils import UserError

T = TypeVar("T")
R = TypeVar("R")

_IN_FLIGHT = 4  # tasks a worker: enough to keep it busy, few enough to hold their results


def ordered_map(function: Callable[[T], R], tasks: Iterable[T], workers: int) -> Generator[R]:
    """The results of `function`, in the order of `tasks`; one worker is this process itself.

    Raises:
        UserError: a worker process was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of whoever calls
    waiting: deque[Future[R]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= _IN_FLIGHT * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for want of memory; "
                "run again with fewer --workers: it goes on from here"
            ) from None
        finally:
            for future in waiting:
                future.cancel()


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
