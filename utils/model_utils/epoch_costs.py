"""What an epoch cost: items a second, how long training waited for its batches, and memory."""

from __future__ import annotations

import collections
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from utils.model_utils.ranks import ranks

_PROCESS = Path("/proc/self/status")


class EpochCosts:
    """Watches one epoch; begins to when it is made.

    Args:
        device: where the model computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._items = 0
        self._waiting: _Stopwatch = _HostStopwatch() if device.type == "cpu" else _DeviceStopwatch(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def watched(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        """The same batches, whose rows and whose waiting times are counted."""
        while True:
            self._waiting.start()
            batch = next(batches, None)
            self._waiting.stop()
            if batch is None:
                return
            self._items += items_of(batch)
            yield batch

    def of_training(self, train_s: float) -> dict[str, float]:
        """What training over the epoch's batches cost.

        Args:
            train_s: how long it took, in seconds.
        Returns:
            `items_per_s`, of all ranks, whose shares are of nearly one size; and `waiting_share`: of that time, from 0
            to 1, the device had nothing to compute since the next batch was not there.
        """
        return {
            "items_per_s": self._items * ranks() / train_s,
            "waiting_share": min(1.0, self._waiting.seconds() / train_s),
        }

    def peak_memory_gb(self) -> float:
        """The most memory: of tensors on the GPU in this epoch, or of the whole process; in 10^9 bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 1e9
        return _peak_of_process() / 1e9


def items_of(batch: Mapping[str, Tensor]) -> int:
    """How many items a batch trains: pairs, clips, windows; a clip of several captions counts with each of them."""
    return max((len(value) for value in batch.values() if value.ndim), default=0)


def costs_in_words(metrics: Mapping[str, float]) -> str:
    """`, 431 items/s, waiting 3 %, 1.2 GB`, of what was measured."""
    words = []
    if "items_per_s" in metrics:
        rate = metrics["items_per_s"]
        words.append(f"{rate:.0f} items/s" if rate >= 10 else f"{rate:.2g} items/s")
    if "waiting_share" in metrics:
        words.append(f"waiting {metrics['waiting_share']:.0%}".replace("%", " %"))
    if "peak_memory_gb" in metrics:
        words.append(f"{metrics['peak_memory_gb']:.1f} GB")
    return "".join(f", {word}" for word in words)


class _Stopwatch(ABC):
    """Adds up times between `start` and `stop`."""

    @abstractmethod
    def start(self) -> None:
        """Begin to wait."""

    @abstractmethod
    def stop(self) -> None:
        """Go on computing."""

    @abstractmethod
    def seconds(self) -> float:
        """The sum so far."""


class _HostStopwatch(_Stopwatch):
    def __init__(self) -> None:
        self._sum = self._started = 0.0

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        self._sum += time.perf_counter() - self._started

    def seconds(self) -> float:
        return self._sum


class _DeviceStopwatch(_Stopwatch):
    """The device's own time: where it has work left from before, it does not wait, however long the host does.

    Events lie between its kernels and are read when they have passed, so that nothing waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sum = 0.0
        self._pairs: collections.deque[tuple[torch.cuda.Event, torch.cuda.Event]] = collections.deque()

    def start(self) -> None:
        self._begun = self._now()

    def stop(self) -> None:
        self._pairs.append((self._begun, self._now()))
        while self._pairs and self._pairs[0][1].query():
            self._take()

    def seconds(self) -> float:
        while self._pairs:
            self._pairs[0][1].synchronize()
            self._take()
        return self._sum

    def _now(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _take(self) -> None:
        start, stop = self._pairs.popleft()
        self._sum += start.elapsed_time(stop) / 1e3


def _peak_of_process() -> int:
    """Bytes of memory that this process has had at most."""
    # not getrusage, whose figure a process begins with is that of the process that started it
    found = re.search(r"^VmHWM:\s+(\d+) kB$", _PROCESS.read_text(), re.MULTILINE) if _PROCESS.exists() else None
    if found is not None:
        return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
