"""Groups of neighbouring frames, concatenated and projected."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from models.adapters.base import CommonAdapterSpec
from models.adapters.layers import TokenLayers


class ConcatenationLayers(TokenLayers):
    """k neighbouring frames as one vector, and an MLP; the last group is padded with zeros: no frame is dropped.

    Args:
        in_dim: D of the frames.
        hidden_size: H of the LLM.
        frames_per_token: k.
        hidden_dim: of the MLP.
        dropout: of the hidden layer.
    Source: Ma et al. 2024, "An embarrassingly simple approach for LLM with strong ASR capacity" (SLAM-ASR).
    """

    def __init__(
        self, in_dim: int, hidden_size: int, frames_per_token: int, hidden_dim: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.frames_per_token = frames_per_token
        self.mlp = nn.Sequential(
            nn.Linear(frames_per_token * in_dim, hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, hidden_size),
        )

    def counts(self, frames: Tensor) -> Tensor:
        """Compute the number of tokens: frames over k, rounded up."""
        return -(-frames // self.frames_per_token)

    def groups(self, frames: Tensor) -> Tensor:
        """Concatenate (B, T, D) frames to (B, ceil(T / k), k D)."""
        missing = -frames.shape[1] % self.frames_per_token
        return F.pad(frames, (0, 0, 0, missing)).unflatten(1, (-1, self.frames_per_token)).flatten(2)

    def forward(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Make tokens; see `TokenLayers`."""
        del lengths, own  # padding is zeros already
        return self.mlp(self.groups(frames))


class ConcatenationAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of concatenated frames."""

    name: Literal["ConcatenationAdapter"]
    frames_per_token: int = Field(5, ge=1, le=1024)  # k frames that are concatenated
    hidden_dim: int = Field(512, ge=1, le=65_536)  # of the MLP
    dropout: float = Field(0.0, ge=0, lt=1)  # of the hidden layer

    def layers(self, in_dim: int, hidden_size: int) -> ConcatenationLayers:
        """Build the layers."""
        return ConcatenationLayers(in_dim, hidden_size, self.frames_per_token, self.hidden_dim, self.dropout)
