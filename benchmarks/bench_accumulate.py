"""Peak memory of a step of training in parts (training.accumulate): `python -m benchmarks.bench_accumulate`.

Each step runs in a process of its own; what a process needs before it is taken off. The loss is InfoNCE over all pairs
of the batch, and loss and gradients are compared too.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import Result, report
from models.audio_encoders.cnn14 import CNN14Spec
from models.core import DualEncoderModel
from utils.criterion_utils import InfoNCE
from utils.model_utils.step import GradientStep
from utils.process_utils import peak_memory

PAIRS = 64
PARTS = 8
FRAMES = 501  # 10 s
BANDS = 64
EMBEDDING_DIM = 300
MB = 1e6


class _Pairs:
    """A dual encoder on noise, as a task; statistics of batch normalisation are fixed, so that parts change nothing."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        audio = CNN14Spec(name="CNN14Encoder", base_channels=8, dropout=0, fc_dropout=0).build(EMBEDDING_DIM, BANDS)
        self.encoder = DualEncoderModel(audio, nn.Linear(384, EMBEDDING_DIM), EMBEDDING_DIM)
        self.criterion = InfoNCE()
        self._network = nn.ModuleDict({"encoder": self.encoder, "criterion": self.criterion}).train()
        audio.eval()

    def model(self) -> nn.Module:
        return self._network

    def loaders(self) -> dict[str, Any]:
        return {}

    def outputs(self, split: str) -> None:
        raise NotImplementedError

    def metrics(self, outputs: Any) -> dict[str, float]:
        raise NotImplementedError

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.contrast(self.embed(batch))

    def embed(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        audio, text = self.encoder(batch)
        return {"audio": audio, "text": text, "clip_ids": batch["clip_ids"]}

    def contrast(self, embedded: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": self.criterion(embedded["audio"], embedded["text"], embedded["clip_ids"])}


def measure() -> Result:
    """Measure the peak memory of a step in parts; the reference is the same step in one."""
    whole, parts = _step_of(1), _step_of(PARTS)
    difference = abs(whole["norm"] - parts["norm"]) / whole["norm"]
    return Result(
        name=f"memory of a step, {PAIRS} pairs in {PARTS} parts",
        reference=whole["mb"],
        ours=parts["mb"],
        unit="MB",
        minimum_ratio=3,
        note=(
            f"reference: in one; norm of the gradients differs by {difference:.0e}, "
            f"time {parts['wall_s'] / whole['wall_s']:.2f} x"
        ),
    )


def _step_of(parts: int) -> dict[str, float]:
    script = f"from benchmarks import bench_accumulate as bench; bench.run({parts})"
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[1], check=True
    )
    found: dict[str, float] = json.loads(process.stdout)
    return found


def run(parts: int) -> None:
    """Compute the gradients of one batch; print memory above that before it, time and their norm as JSON."""
    task = _Pairs()
    step = GradientStep(task, torch.amp.GradScaler("cpu", enabled=False), contextlib.nullcontext)
    generator = torch.Generator().manual_seed(0)
    batches = [
        {
            "audio": torch.randn(len(rows), FRAMES, BANDS, generator=generator),
            "lengths": torch.full((len(rows),), FRAMES),
            "clip_index": torch.arange(len(rows)),
            "text": torch.randn(len(rows), 384, generator=generator),
            "clip_ids": rows,
        }
        for rows in torch.arange(PAIRS).tensor_split(PARTS)
    ]
    if parts == 1:
        batches = [{name: torch.cat([one[name] for one in batches]) for name in batches[0]}]
        batches[0]["clip_index"] = torch.arange(PAIRS)
    before, start = peak_memory(), time.perf_counter()
    step(batches)
    wall_s = time.perf_counter() - start
    norm = torch.nn.utils.get_total_norm([p.grad for p in task.model().parameters() if p.grad is not None])
    print(json.dumps({"mb": (peak_memory() - before) / MB, "wall_s": wall_s, "norm": float(norm)}))


if __name__ == "__main__":
    report(measure)
