"""An epoch on cached vectors compared with its bare arithmetic: `python -m benchmarks.bench_projection`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.projection_corpus import AUDIO_DIM, BATCH, PAIRS, TEXT_DIM, run_on_noise
from benchmarks.timing import Result, alternate, report, seconds
from utils.model_utils import Fit


class BareEpoch:
    """Only products, cross entropies and AdamW steps, on tensors in memory, in order."""

    def __init__(self, audio: Tensor, text: Tensor) -> None:
        self._audio, self._text = audio, F.normalize(text, dim=1)
        self._layer = nn.Linear(AUDIO_DIM, TEXT_DIM)
        self._log_scale = nn.Parameter(torch.tensor(2.66))
        self._optimizer = torch.optim.AdamW([*self._layer.parameters(), self._log_scale], lr=1e-3)

    def run(self) -> None:
        """Train one epoch."""
        for audio, text in zip(self._audio.split(BATCH), self._text.split(BATCH), strict=True):
            own = torch.arange(len(audio))
            logits = F.normalize(self._layer(audio), dim=1) @ text.T * self._log_scale.exp()
            loss = F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()


def measure() -> Result:
    """Measure the median seconds of an epoch, with everything that a run does between its steps, and bare."""
    with tempfile.TemporaryDirectory() as name:
        run = run_on_noise(Path(name))
        task = run.build()
        fit = Fit(task, run.training, run.optimizer, run.lr_scheduler)
        data = task.data("train")
        bare = BareEpoch(data.audio.batch(*data.windows()), data.texts.batch(torch.arange(len(data)))["text"])
        times = alternate({"bare": seconds(bare.run), "ours": seconds(fit.train_epoch)}, repeats=5)
    return Result(
        name=f"epoch of {PAIRS} cached pairs, {AUDIO_DIM} -> {TEXT_DIM}, batch {BATCH}",
        reference=times["bare"],
        ours=times["ours"],
        unit="s",
        minimum_ratio=1 / 1.3,
        note="reference: only products, losses and optimizer steps, on tensors in memory",
    )


if __name__ == "__main__":
    report(measure)
