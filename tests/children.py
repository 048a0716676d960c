"""Run something in a process of its own, to kill it or to limit it."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any


class KilledAt:
    """Counts calls, in all forks of this process, and kills the one that makes call number `limit`."""

    def __init__(self) -> None:
        self._count = multiprocessing.get_context("fork").Value("i", 0)
        self.limit: int | None = None

    @property
    def count(self) -> int:
        """Calls since the last `restart`."""
        return int(self._count.value)

    def restart(self, limit: int | None = None) -> None:
        """Count from 0; None: kill nothing."""
        self._count.value, self.limit = 0, limit

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose calls are counted."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            self._count.value += 1
            if self._count.value == self.limit:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapped


def in_child(action: Callable[[], object]) -> BaseProcess:
    """Start `action` in a fork of this process."""
    child = multiprocessing.get_context("fork").Process(target=action)
    child.start()
    return child
