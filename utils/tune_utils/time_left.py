"""How long a search will still take, from the epochs that it has seen."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence


class TimeLeft:
    """Estimates the time until the last trial ends, if each goes on to its last epoch.

    Args:
        epochs: name of each trial that has not ended -> how many epochs are left.
    """

    def __init__(self, epochs: Mapping[str, int]) -> None:
        self._left = dict(epochs)
        self._running: list[str] = []
        self._seconds: dict[str, list[float]] = {}

    def start(self, trial: str) -> None:
        """Record that a trial has started, or started again."""
        if trial not in self._running:
            self._running.append(trial)

    def report(self, trial: str, epoch_s: float) -> None:
        """Record an epoch of a trial, which took `epoch_s` seconds."""
        self._left[trial] = max(self._left[trial] - 1, 0)
        self._seconds.setdefault(trial, []).append(epoch_s)

    def end(self, trial: str) -> None:
        """Count no more epochs for a trial: it has ended, early or not."""
        self._left[trial] = 0
        if trial in self._running:
            self._running.remove(trial)

    def seconds(self) -> float | None:
        """Seconds until the last trial ends; None before the first epoch.

        Trials that wait start as soon as another one ends; as many run at a time as do now. The time that processes
        take to start is not counted.
        """
        seen = [value for values in self._seconds.values() for value in values]
        if not seen:
            return None
        mean = sum(seen) / len(seen)
        rates = {name: sum(values) / len(values) for name, values in self._seconds.items()}
        left = {name: epochs * rates.get(name, mean) for name, epochs in self._left.items() if epochs}
        running = [left.pop(name) for name in self._running if name in left]
        return makespan(running, list(left.values()))


def makespan(running: Sequence[float], waiting: Sequence[float]) -> float:
    """When the last of some jobs ends: each that waits takes the place of the first that ends.

    Args:
        running: seconds that are left of those that run.
        waiting: seconds of the others, in the order in which they start.
    """
    ends = list(running) or [0.0]
    heapq.heapify(ends)
    for duration in waiting:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def in_words(seconds: float) -> str:
    """A duration such as `40 s`, `3 min` or `2 h 10 min`."""
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
