"""Shared by all benchmarks: alternating measurements, medians, and the rows of the table."""

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
        reference: the value of the reference, in `unit`.
        ours: the value of this project, in `unit`.
        unit: "s" or "MB".
        minimum_ratio: target of reference / ours.
        limit: `ours` must be below it, in `unit`; None: no limit.
        note: how to interpret the values.
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
        """Reference / ours; higher is better."""
        return self.reference / self.ours

    @property
    def reached(self) -> bool:
        """Whether both targets are met."""
        return self.ratio >= self.minimum_ratio and (self.limit is None or self.ours < self.limit)

    @property
    def target(self) -> str:
        """The targets, as in the table."""
        limit = "" if self.limit is None else f", < {self.limit:g} {self.unit}"
        return f">= {self.minimum_ratio:g} x{limit}"

    def row(self) -> str:
        """Format `name | reference | ours | ratio | target`, with MISSED if a target is not met."""
        reference, ours = (f"{value:.4g} {self.unit}" for value in (self.reference, self.ours))
        verdict = "" if self.reached else "  MISSED"
        row = f"{self.name:<50} | {reference:>12} | {ours:>12} | {self.ratio:>6.1f} x | {self.target}{verdict}"
        return f"{row}\n    {self.note}" if self.note else row


def seconds(function: Callable[[], object], calls: int = 1) -> Callable[[], float]:
    """Return a function that measures the seconds of one call of `function`, as the mean over `calls` in a row."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls

    return measure


def alternate(measurements: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Return the median of each measurement; they alternate, so that other load on the machine slows all of them.

    Args:
        measurements: functions that return seconds; a first call of each is a warm-up and is not counted.
        repeats: number of counted calls of each.
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
    """Run torch with one thread: a fair comparison with a reference of one thread, and stable on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def report(measure: Callable[[], Result]) -> None:
    """Measure, print a table of one row, and exit with 1 if a target is missed."""
    result = measure()
    print(HEADER)
    print(result.row())
    if not result.reached:
        raise SystemExit(1)
