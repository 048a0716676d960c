"""The batches of an epoch on cached vectors compared with a DataLoader over dicts.

python -m benchmarks.bench_projection_loading
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.projection_corpus import AUDIO_DIM, BATCH, PAIRS, TEXT_DIM, run_on_noise
from benchmarks.timing import Result, alternate, report, seconds


def measure() -> Result:
    """Measure the median seconds to load the batches of an epoch."""
    with tempfile.TemporaryDirectory() as name:
        run = run_on_noise(Path(name))
        task = run.build()
        loader = task.loaders()["train"]
        data = task.data("train")
        audio = data.audio.batch(*data.windows())
        text = data.texts.batch(torch.arange(len(data)))["text"]
        rows = [
            {"audio_embedding": a, "text_embedding": t, "clip_id": n}
            for n, (a, t) in enumerate(zip(audio.numpy(), text.numpy(), strict=True))
        ]
        plain: DataLoader[Any] = DataLoader(rows, batch_size=BATCH, shuffle=True)  # type: ignore[arg-type]
        epochs = {"plain": seconds(lambda: [None for _ in plain]), "ours": seconds(lambda: [None for _ in loader])}
        times = alternate(epochs, repeats=5)
    return Result(
        name=f"batches of {PAIRS} cached pairs, {AUDIO_DIM} + {TEXT_DIM}",
        reference=times["plain"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=10,
        note="reference: a shuffling DataLoader over a list of dicts of arrays, with the default collate",
    )


if __name__ == "__main__":
    report(measure)
