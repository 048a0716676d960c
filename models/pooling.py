"""Pool the frames of padded clips to one vector a clip; padding is ignored."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def inside(counts: Tensor, n_frames: int) -> Tensor:
    """Return the padding mask of a batch: True at the clips' own frames.

    Args:
        counts: (B,) int64 on the CPU, number of frames of each clip.
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
    """Compute the mean over each clip's own frames.

    Args:
        frames: (B, T, D); padding is ignored, also if it is NaN.
        counts: (B,) int64, frames of each clip, 1 to T; best on the CPU, since reading them from a GPU waits for it.
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
    """A weighted mean over each clip's own frames; the weights are computed from the frames by a small network.

    Its last layer is initialised with zeros: the weights are equal at first, and training starts from the mean.

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
        """Pool frames; arguments, result and Raises as of `masked_mean`."""
        own = inside(counts.cpu(), frames.shape[1]).to(frames.device, non_blocking=True)
        frames = frames.masked_fill(~own[:, :, None], 0)  # a weight of 0 would not remove NaN from padding
        scores = self.score(torch.tanh(self.hidden(frames)))[:, :, 0].float()  # (B, T)
        weights = scores.masked_fill(~own, float("-inf")).softmax(1)
        return (weights[:, :, None] * frames.float()).sum(1)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over each clip's own frames: what sounds, and how much it changes.

    Source: Snyder et al. 2018, "X-vectors: robust DNN embeddings for speaker recognition", section 2.1.
    """

    def forward(self, frames: Tensor, counts: Tensor) -> Tensor:
        """Pool frames (B, T, D) to (B, 2 D) float32; arguments and Raises as of `masked_mean`."""
        mean = masked_mean(frames, counts)
        variance = masked_mean((frames.float() - mean[:, None]).square(), counts)
        # the square root has no gradient at 0: of clips of one frame, or silent ones
        return torch.cat([mean, variance.clamp(min=1e-10).sqrt()], dim=1)


class LayerWeights(nn.Module):
    """A learned weighted mean of the frames of all layers; the weights are equal at first.

    The last layer of a pretrained network is not always the one that knows most about another task.

    Args:
        layers: number of layers.

    Source: Yang et al. 2021, "SUPERB: Speech processing universal performance benchmark", section 2.2.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))

    def forward(self, frames: Sequence[Tensor]) -> Tensor:
        """Average (B, T, D) frames of each layer to (B, T, D) float32."""
        weights = self.logits.softmax(0)
        total = weights[0] * frames[0].float()
        for weight, layer in zip(weights[1:], frames[1:], strict=True):
            total = total + weight * layer.float()  # one by one: all layers at once are many times the memory
        return total
