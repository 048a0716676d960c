"""What the adapters share: the interface of their layers, and the projection of a vector into the LLM's space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class TokenLayers(nn.Module, ABC):
    """Layers that make a clip's frames into vectors of the LLM's hidden size; the clip's own come first.

    Attributes:
        fits_captions: whether `fit` has to be called with the training clips.
    """

    fits_captions: bool = False

    def fit(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Compute weights in closed form; only of layers that say so.

        Args:
            pairs: batches of (B, D) mean frames of the clips, and (B, H) means of their captions' token embeddings.
        """
        raise NotImplementedError

    @abstractmethod
    def counts(self, frames: Tensor) -> Tensor:
        """Compute the number of tokens of clips with these numbers of frames, each at least 1; never decreasing."""

    @abstractmethod
    def forward(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Make tokens.

        Args:
            frames: (B, T, D) float32, zeros in the padding.
            lengths: (B,) int64 on the same device, 1 to T.
            own: (B, T) bool, False in the padding.
        Returns:
            (B, P, H) where P = `counts(T)`; the padding may hold any finite number.
        """


def projector(in_dim: int, hidden_size: int, hidden_dim: int | None, dropout: float = 0.0) -> nn.Module:
    """Build the projection of (..., D) vectors to (..., H): linear, or with a hidden layer.

    Args:
        in_dim: D.
        hidden_size: H of the LLM.
        hidden_dim: width of the hidden layer; None: no hidden layer.
        dropout: of the hidden layer.
    Source: Liu et al. 2023, "Improved baselines with visual instruction tuning" (LLaVA-1.5): two layers and a GELU.
    """
    if hidden_dim is None:
        return nn.Linear(in_dim, hidden_size)
    return nn.Sequential(
        nn.Linear(in_dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, hidden_size)
    )


def weighted_sums(weights: Tensor, frames: Tensor) -> Tensor:
    """Compute (B, P, T) weights times (B, T, D) frames in float32, also under autocast: a mean of many frames needs it.

    A product with a matrix that is mostly zeros is faster than a sum by index at these sizes, and its order is fixed.
    """
    with torch.autocast(frames.device.type, enabled=False):
        return weights.float() @ frames.float()
