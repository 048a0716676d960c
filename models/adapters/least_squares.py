"""The closed-form map from a clip's mean frame to the mean of its captions' token embeddings: nothing is trained."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from models.adapters.base import CommonAdapterSpec
from models.adapters.mean_pooling import MeanPoolingLayers


class FixedLinear(nn.Module):
    """A linear layer whose weights are buffers: they are in the state dict, and no optimizer sees them.

    They are NaN until they are computed, so that a run that forgets to is stopped at its first loss.

    Args:
        in_dim: D.
        out_dim: H.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.full((out_dim, in_dim), torch.nan))
        self.register_buffer("bias", torch.full((out_dim,), torch.nan))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., H)."""
        return F.linear(x, self.weight, self.bias)


class LeastSquaresLayers(MeanPoolingLayers):
    """Mean pooling to P tokens, each through the same fixed map.

    Args:
        in_dim: D of the frames.
        hidden_size: H of the LLM.
        tokens: P.
        ridge: see `ridge_regression`.
    """

    def __init__(self, in_dim: int, hidden_size: int, tokens: int, ridge: float) -> None:
        super().__init__(in_dim, hidden_size, tokens, ridge=ridge)
        self.projection = FixedLinear(in_dim, hidden_size)


class LeastSquaresAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of the closed-form map; with `prompt_tokens`, those alone learn."""

    name: Literal["LeastSquaresAdapter"]
    tokens: int = Field(1, ge=1, le=1024)  # segments of equal length; a shorter clip has a token for each frame
    ridge: float = Field(0.1, gt=0, le=1e6)  # penalty of large weights, in units of the mean variance of a dimension

    def layers(self, in_dim: int, hidden_size: int) -> LeastSquaresLayers:
        """Build the layers."""
        return LeastSquaresLayers(in_dim, hidden_size, self.tokens, self.ridge)
