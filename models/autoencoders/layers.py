"""What the autoencoders share: layers that undo each other's shapes, and statistics over a window's own steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Count = TypeVar("Count", int, Tensor)


class MirroredLayers(nn.Module, ABC):
    """An encoder, and a decoder of the mirrored layers: it returns to the shape that the encoder was given.

    Attributes:
        width: W of a frame (numbers of one frame, or sample, or vector).
        hidden_width: H between encoder and bottleneck, and between bottleneck and decoder.
        frames_per_step: frames that a step of the code stands for.
    """

    width: int
    hidden_width: int
    frames_per_step: int = 1

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile encoder and decoder in place, with the arguments of `torch.compile`: they have no `forward`."""
        for name in ("encode", "decode"):
            setattr(self, name, torch.compile(getattr(self, name), *args, **kwargs))

    @abstractmethod
    def counts(self, lengths: Count) -> Count:
        """Compute the number of steps of windows of so many frames, each at least 1; never decreasing."""

    @abstractmethod
    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Encode.

        Args:
            frames: (B, T, W) float32, zeros in the padding.
            lengths: (B,) int64 on the same device, 1 to T.
        Returns:
            (B, T', H), T' = `counts(T)`; the padding may hold any finite number.
        """

    @abstractmethod
    def decode(self, hidden: Tensor, lengths: Tensor, n_frames: int) -> Tensor:
        """Decode.

        Args:
            hidden: (B, T', H), T' = `counts(n_frames)`; the padding may hold any finite number.
            lengths: (B,) int64 on the same device, frames of each window.
            n_frames: T.
        Returns:
            (B, T, W); the padding may hold any finite number.
        """


class MLPLayers(MirroredLayers):
    """Linear layers, each with a GELU and dropout; without a hidden layer both directions are the identity.

    Args:
        width: D of the vectors.
        hidden_dims: of the hidden layers, from the input to the bottleneck.
        dropout: of their activations.
    """

    def __init__(self, width: int, hidden_dims: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        widths = [width, *hidden_dims]
        self.hidden_width = widths[-1]
        self.encoder, self.decoder = nn.Sequential(), nn.Sequential()
        for inner, outer in pairwise(widths):
            self.encoder.extend([nn.Linear(inner, outer), nn.GELU(), nn.Dropout(dropout)])
        for inner, outer in reversed(list(pairwise(widths))):
            self.decoder.extend([nn.GELU(), nn.Dropout(dropout), nn.Linear(outer, inner)])

    def counts(self, lengths: Count) -> Count:
        """Compute the number of steps: that of the vectors."""
        return lengths

    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Encode (B, T, W) to (B, T, H), each vector by itself."""
        del lengths
        encoded: Tensor = self.encoder(frames)
        return encoded

    def decode(self, hidden: Tensor, lengths: Tensor, n_frames: int) -> Tensor:
        """Decode (B, T, H) to (B, T, W), each vector by itself."""
        del lengths, n_frames
        decoded: Tensor = self.decoder(hidden)
        return decoded


def own_steps(counts: Tensor, n_steps: int) -> Tensor:
    """Return the padding mask of (B,) counts on any device: (B, n_steps) bool, False in the padding."""
    return torch.arange(n_steps, device=counts.device) < counts[:, None]


def mean_and_deviation(steps: Tensor, counts: Tensor) -> Tensor:
    """Compute the mean and the standard deviation of each unit over a window's own steps.

    Args:
        steps: (B, T', C), finite in the padding.
        counts: (B,) int64 on the same device, own steps of each window, 1 to T'.
    Returns:
        (B, 2C) float32, means first; the deviation of a single step is 1e-6, since the gradient of a root at 0 is
        infinite.
    """
    own = own_steps(counts, steps.shape[1])[:, :, None]
    steps, numbers = steps.float(), counts[:, None].float()
    mean = steps.masked_fill(~own, 0).sum(1) / numbers
    squares = (steps - mean[:, None]).square().masked_fill(~own, 0).sum(1) / numbers
    return torch.cat([mean, squares.clamp(min=1e-12).sqrt()], dim=1)
