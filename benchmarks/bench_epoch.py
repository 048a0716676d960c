"""A training epoch compared with the same steps on batches in memory: `python -m benchmarks.bench_epoch`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import Result, alternate, report, seconds
from tasks import parse_run
from tasks.retrieval.retrieval import RetrievalRun
from utils.artefact_utils import (
    Caption,
    Clip,
    LogMelParts,
    LogMelSettings,
    write_audio_info,
    write_text_embeddings,
    write_text_table,
)
from utils.config_utils import override, read_settings
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


def run_on_noise(folder: Path) -> RetrievalRun:
    """Build the run of conf.yaml on clips of noise, 2 to 10 s long."""
    settings = [f"data.features={folder}", "ray.num_samples=1", "training.sampling.length_pool=1"]
    run = parse_run(override(read_settings(Path("conf.yaml")), settings), "conf.yaml")
    assert isinstance(run, RetrievalRun)
    rng = np.random.default_rng(0)
    front_end = run.data.front_end
    durations = rng.uniform(2, 10, CLIPS)
    clips = [Clip(f"fid{n}", f"{n}.wav", f"{n}.wav", float(s), 44_100, 1, f"{n}") for n, s in enumerate(durations)]
    captions = [
        Caption(f"tid{n}-{k}", f"fid{n}", f"{n}.wav", "noise", "noise", f"{n}")
        for n in range(CLIPS)
        for k in range(CAPTIONS_A_CLIP)
    ]
    split = run.data.splits.train
    write_audio_info(run.data.audio_info, {split: clips}, {})
    write_text_table(run.data.text_table(split), captions)
    parts = LogMelParts(run.data.logmels(split), LogMelSettings(run.data.front_end_numbers()))
    shape = (front_end.frames(10), front_end.n_mels)
    noise = rng.standard_normal(shape).astype(np.float32)
    fids = [clip.fid for clip in clips]
    parts.write_part(fids, ((clip.fid, iter([noise[: front_end.frames(clip.duration_s)]])) for clip in clips))
    parts.assemble(fids, "benchmark")
    vectors = {caption.tid: rng.standard_normal(384).astype(np.float32) for caption in captions}
    write_text_embeddings(run.data.text_vectors, vectors, {"model": run.data.text_embeddings.model})
    return run


def measure() -> Result:
    """Measure the median seconds of an epoch, with a loader and with batches in memory."""
    with tempfile.TemporaryDirectory() as name:
        run = run_on_noise(Path(name))
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
