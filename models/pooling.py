"""From the frames of clips of unequal lengths to one vector a clip; frames after a clip's end count for nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def inside(counts: Tensor, n_frames: int) -> Tensor:
    """Which frames of a padded batch are the clips' own.

    Args:
        counts: (B,) int64 on the CPU, frames of each clip.
        n_frames: T of the batch.
    Returns:
        (B, T) bool on the CPU.
    Raises:
        ValueError: a count outside 1 to T.
    """
    outside = counts[(counts < 1) | (counts > n_frames)]
    if len(outside):
        raise ValueError(f"a clip has {int(outside[0])} frames, expected 1 to {n_frames}")
    return torch.arange(n_frames) < counts[:, None]


def masked_mean(frames: Tensor, counts: Tensor) -> Tensor:
    """The mean over each clip's own frames.

    Args:
        frames: (B, T, D); what stands after a clip's end is never looked at.
        counts: (B,) int64, frames of each clip, 1 to T; on the CPU they cost an accelerator no waiting.
    Returns:
        (B, D) float32.
    Raises:
        ValueError: a count outside 1 to T.
    """
    counts = counts.cpu()
    own = inside(counts, frames.shape[1]).to(frames.device, non_blocking=True)
    total = frames.float().masked_fill(~own[:, :, None], 0).sum(1)
    return total / counts.to(frames.device, non_blocking=True)[:, None]


class AttentionPooling(nn.Module):
    """A weighted mean over each clip's own frames; the weights are learnt from the frames.

    The weights start equal, so that training starts from the mean.

    Args:
        width: D of the frames.

    Source: Lin et al. 2017, "A structured self-attentive sentence embedding", equation 5 with one row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)
        nn.init.xavier_uniform_(self.hidden.weight)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.score.weight)

    def forward(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Arguments, result and Raises as of `masked_mean`."""
        own = inside(counts.cpu(), frames.shape[1]).to(frames.device, non_blocking=True)
        frames = frames.masked_fill(~own[:, :, None], 0)
        scores = self.score(torch.tanh(self.hidden(frames)))[:, :, 0].float()  # (B, T)
        weights = scores.masked_fill(~own, float("-inf")).softmax(1)
        return (weights[:, :, None] * frames.float()).sum(1)
