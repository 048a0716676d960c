"""The bare networks that `benchmarks.gpu` measures training beside: all frames count, padding or not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BareCNN14(nn.Module):
    """CNN14 with torch's own batch normalisation and no mask: log-mels (B, T, F) -> (B, 300)."""

    def __init__(self, base_channels: int = 64, bands: int = 64) -> None:
        super().__init__()
        widths = [1, *(base_channels * 2**number for number in range(6))]
        self.bn0 = nn.BatchNorm1d(bands)
        self.layers = nn.ModuleList()
        for narrow, wide in itertools.pairwise(widths):
            for channels in (narrow, wide):
                conv = nn.Conv2d(channels, wide, 3, padding=1, bias=False)
                self.layers.append(nn.Sequential(conv, nn.BatchNorm2d(wide), nn.ReLU()))
        self.fc1, self.out = nn.Linear(widths[-1], widths[-1]), nn.Linear(widths[-1], 300)

    def forward(self, features: Tensor) -> Tensor:
        """Embed clips."""
        hidden = self.bn0(features.transpose(1, 2)).transpose(1, 2)[:, None]
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if number % 2:
                hidden = F.avg_pool2d(hidden, 2) if number < 10 else hidden
                hidden = F.dropout(hidden, 0.2, self.training)
        frames = hidden.mean(3)
        pooled = F.dropout(frames.amax(2) + frames.mean(2), 0.5, self.training)
        embedded: Tensor = self.out(F.dropout(F.relu(self.fc1(pooled)), 0.5, self.training))
        return embedded


def step_seconds(
    network: nn.Module,
    call: Callable[..., Tensor],
    batches: Sequence[tuple[Tensor, ...]],
    precision: torch.dtype | None,
    steps: int,
) -> float:
    """Measure a training step on batches that are on the device, as the mean over `steps`.

    Args:
        network: on the device.
        call: computes its output from a batch; what it does first, such as compiling, is not counted.
        batches: taken in turn.
        precision: of autocast; None: float32.
        steps: at least one for each batch.
    """
    device = batches[0][0].device
    learning = [parameter for parameter in network.train().parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-4, fused=device.type == "cuda")

    def step(batch: tuple[Tensor, ...]) -> None:
        with torch.autocast(device.type, precision or torch.bfloat16, enabled=precision is not None):
            output = call(*batch)
        optimizer.zero_grad(set_to_none=True)
        output.float().square().mean().backward()
        optimizer.step()

    for batch in (*batches, *batches):
        step(batch)
    synchronise(device)
    started = time.perf_counter()
    for batch in itertools.islice(itertools.cycle(batches), steps):
        step(batch)
    synchronise(device)
    return (time.perf_counter() - started) / steps


def synchronise(device: torch.device) -> None:
    """Wait for all that the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
