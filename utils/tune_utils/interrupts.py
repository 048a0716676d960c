"""Signals that end a search: the same clean end for all of them, also where Ray has handlers of its own."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Ctrl-C; `kill` and most schedulers; the warning of Slurm before its limit (--signal=USR1@60); a closed terminal.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Interrupts:
    """Turns each of `SIGNALS` into one KeyboardInterrupt in the main thread.

    Attributes:
        seen: whether one of them came.
    """

    def __init__(self) -> None:
        self.seen = False
        self._previous: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Handle the signals; again, where a library has put its own handlers in their place."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            previous = signal.getsignal(number)
            if number == signal.SIGHUP and previous == signal.SIG_IGN:  # nohup
                continue
            self._previous.setdefault(number, previous)
            signal.signal(number, self._handle)

    def __getstate__(self) -> dict[str, Any]:
        """Without the handlers of this process: Ray Tune pickles its callbacks, and a handler may hold anything."""
        return {"seen": self.seen, "_previous": {}}

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, previous in self._previous.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        first, self.seen = not self.seen, True
        if first:  # the next ones come while the trials are being ended already
            raise KeyboardInterrupt


@contextlib.contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Handle the signals inside the block."""
    handled = Interrupts()
    handled.install()
    try:
        yield handled
    finally:
        handled.restore()
