"""Weighted means over all frames of a clip, one for each learned query, projected."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.adapters.base import CommonAdapterSpec
from models.adapters.layers import TokenLayers, projector, weighted_sums


class AttentionPoolingLayers(TokenLayers):
    """P weighted means over a clip's frames; the weights are a softmax over the frames of a small network's scores.

    The order of the frames is not seen: choose `PerceiverAdapter` where it matters.

    Args:
        in_dim: D of the frames.
        hidden_size: H of the LLM.
        tokens: P, for clips of any length.
        hidden_dim: of the projection's hidden layer; None: one linear layer.
        dropout: of the hidden layer.
    Source: Lin et al. 2017, "A structured self-attentive sentence embedding", equation 6.
    """

    def __init__(
        self, in_dim: int, hidden_size: int, tokens: int, hidden_dim: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.hidden = nn.Linear(in_dim, in_dim)
        # no bias: it would be the same for all frames, and a softmax ignores that
        self.queries = nn.Linear(in_dim, tokens, bias=False)
        self.projection = projector(in_dim, hidden_size, hidden_dim, dropout)

    def counts(self, frames: Tensor) -> Tensor:
        """Compute the number of tokens: always P."""
        return torch.full_like(frames, self.tokens)

    def forward(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Make tokens; see `TokenLayers`."""
        del lengths
        scores = self.queries(torch.tanh(self.hidden(frames))).transpose(1, 2).float()  # (B, P, T)
        weights = scores.masked_fill(~own[:, None, :], float("-inf")).softmax(2)
        return self.projection(weighted_sums(weights, frames))


class AttentionPoolingAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of attention pooling."""

    name: Literal["AttentionPoolingAdapter"]
    tokens: int = Field(8, ge=1, le=1024)  # queries, for clips of any length
    hidden_dim: int | None = Field(512, ge=1, le=65_536)  # of the projection's hidden layer; null: linear
    dropout: float = Field(0.0, ge=0, lt=1)  # of the hidden layer

    def layers(self, in_dim: int, hidden_size: int) -> AttentionPoolingLayers:
        """Build the layers."""
        return AttentionPoolingLayers(in_dim, hidden_size, self.tokens, self.hidden_dim, self.dropout)
