"""A training epoch compared with the same steps on batches in memory: `python -m benchmarks.bench_epoch`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.noise_corpus import run_on_noise
from benchmarks.timing import Result, alternate, report, seconds
from utils.data_utils import Batch
from utils.model_utils import Fit

CLIPS = 192
CAPTIONS_A_CLIP = 5


class BatchesInMemory:
    """The batches of one epoch, loaded once and repeated in every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: every epoch has the same batches."""

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)


def measure() -> Result:
    """Measure the median seconds of an epoch, with a loader and with batches in memory."""
    with tempfile.TemporaryDirectory() as name:
        run = run_on_noise(Path(name), {"train": CLIPS}, (2, 10), CAPTIONS_A_CLIP)
        task = run.build()
        fit = Fit(task, run.training, run.optimizer, run.lr_scheduler)
        batches = BatchesInMemory(list(task.loaders()["train"]))
        held = Fit(task, run.training, run.optimizer, run.lr_scheduler, batches)
        times = alternate({"held": seconds(held.train_epoch), "loaded": seconds(fit.train_epoch)}, repeats=5)
    return Result(
        name=f"training epoch, {CLIPS} clips, slim CNN10",
        reference=times["held"],
        ours=times["loaded"],
        unit="s",
        minimum_ratio=1 / 1.10,
        note="reference: the same steps on batches in memory",
    )


if __name__ == "__main__":
    report(measure)
