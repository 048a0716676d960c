"""What the benchmarks share: alternating measurements, medians, and the row of the table."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

HEADER = f"{'benchmark':<50} | {'reference':>12} | {'ours':>12} | {'ratio':>8} | target"


@dataclass(frozen=True)
class Result:
    """One line of the table; lower is better for `reference` and `ours`.

    Attributes:
        name: what was measured, with its sizes.
        reference: the plain way, in `unit`.
        ours: this project's way, in `unit`.
        unit: "s" or "MB".
        minimum_ratio: reference / ours must reach it.
        limit: `ours` must stay below it, in `unit`; None: no limit.
        note: what a reader must know to judge the numbers.
    """

    name: str
    reference: float
    ours: float
    unit: str
    minimum_ratio: float
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times better than the reference."""
        return self.reference / self.ours

    @property
    def reached(self) -> bool:
        """Whether both targets are met."""
        return self.ratio >= self.minimum_ratio and (self.limit is None or self.ours < self.limit)

    @property
    def target(self) -> str:
        """The targets in words."""
        limit = "" if self.limit is None else f", < {self.limit:g} {self.unit}"
        return f">= {self.minimum_ratio:g} x{limit}"

    def row(self) -> str:
        """`name | reference | ours | ratio | target`, with MISSED where a target is not met."""
        reference, ours = (f"{value:.4g} {self.unit}" for value in (self.reference, self.ours))
        verdict = "" if self.reached else "  MISSED"
        row = f"{self.name:<50} | {reference:>12} | {ours:>12} | {self.ratio:>6.1f} x | {self.target}{verdict}"
        return f"{row}\n    {self.note}" if self.note else row


def seconds(function: Callable[[], object], calls: int = 1) -> Callable[[], float]:
    """A measurement of `function`: the seconds of one call, as the mean over `calls` in a row."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    return measure


def alternate(measurements: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """The median of each measurement, taken in turns so that a busy machine slows all of them alike.

    Args:
        measurements: each gives a number of seconds; one more call of each warms up and is not counted.
        repeats: how many times each is counted.
    """
    found: dict[str, list[float]] = {name: [] for name in measurements}
    for turn in range(repeats + 1):
        for name, measure in measurements.items():
            value = measure()
            if turn:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, for ours as for a reference that uses one: steady also on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def report(measure: Callable[[], Result]) -> None:
    """Measure, print the table of one row, and exit with 1 if a target is missed."""
    result = measure()
    print(HEADER)
    print(result.row())
    if not result.reached:
        raise SystemExit(1)
