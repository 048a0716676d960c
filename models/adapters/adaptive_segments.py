"""Means over segments that end where a clip changes most, projected."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.adapters.base import CommonAdapterSpec
from models.adapters.mean_pooling import MeanPoolingLayers


def change_segments(frames: Tensor, own: Tensor, n_segments: int) -> Tensor:
    """Divide each clip at the n_segments - 1 places where neighbouring frames differ most; of equal ones, the first.

    Args:
        frames: (B, T, D), finite in the padding.
        own: (B, T) bool, False in the padding.
        n_segments: of a clip that has enough frames; a shorter one has a segment for each frame.
    Returns:
        (B, T) int64, the segment of each frame, from 0; any number in the padding.
    Source: Foote 2000, "Automatic audio segmentation using a measure of audio novelty", with the smallest kernel.
    """
    # double precision, so that the order of two changes does not depend on how a batch was added up
    changes = frames.double().diff(dim=1).square().sum(2).masked_fill(~own[:, 1:], -1)  # (B, T - 1)
    order = changes.argsort(dim=1, descending=True, stable=True)[:, : n_segments - 1]
    starts = torch.zeros(own.shape, dtype=torch.int64, device=frames.device)
    return starts.scatter(1, order + 1, 1).cumsum(1)


class AdaptiveSegmentsLayers(MeanPoolingLayers):
    """Mean pooling whose segments end where neighbouring frames differ most: long where little happens."""

    def segments(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Find the segment of each frame, (B, T) int64 from 0."""
        del lengths
        return change_segments(frames, own, self.tokens)


class AdaptiveSegmentsAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of means over segments that end where the clip changes."""

    name: Literal["AdaptiveSegmentsAdapter"]
    tokens: int = Field(8, ge=1, le=1024)  # segments; a shorter clip has a token for each frame
    hidden_dim: int | None = Field(512, ge=1, le=65_536)  # of the projection's hidden layer; null: linear
    dropout: float = Field(0.0, ge=0, lt=1)  # of the hidden layer

    def layers(self, in_dim: int, hidden_size: int) -> AdaptiveSegmentsLayers:
        """Build the layers."""
        return AdaptiveSegmentsLayers(in_dim, hidden_size, self.tokens, self.hidden_dim, self.dropout)
