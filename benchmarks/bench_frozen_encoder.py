"""An epoch in which frozen layers do not run again: `python -m benchmarks.bench_frozen_encoder`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.noise_corpus import run_on_noise
from benchmarks.timing import Result, one_thread, report
from utils.model_utils import Fit

CLIPS = 192


def measure() -> Result:
    """Measure the seconds of the first and the second epoch of a run that trains the last layer alone."""
    with tempfile.TemporaryDirectory() as name, one_thread():
        run = run_on_noise(Path(name), {"train": CLIPS}, (2, 10), 5)
        encoder = run.model.audio_encoder.model_copy(update={"trainable": False})
        run = run.model_copy(update={"model": run.model.model_copy(update={"audio_encoder": encoder})})
        fit = Fit(run.build(), run.training, run.optimizer, run.lr_scheduler)
        times = []
        for epoch in (1, 2):
            fit.epoch = epoch
            started = time.perf_counter()
            fit.train_epoch()
            times.append(time.perf_counter() - started)
    return Result(
        name=f"epoch of {CLIPS} clips of 2 to 10 s, frozen encoder",
        reference=times[0],
        ours=times[1],
        unit="s",
        minimum_ratio=2,
        note="reference: the first epoch, in which the frozen layers run; ours: the second one, the last layer alone",
    )


if __name__ == "__main__":
    report(measure)
