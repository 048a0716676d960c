"""Means over equal segments of a clip, projected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from models.adapters.base import CommonAdapterSpec
from models.adapters.layers import TokenLayers, projector
from models.adapters.regression import ridge_regression
from models.adapters.segments import equal_segments, segment_means


class MeanPoolingLayers(TokenLayers):
    """The mean of each of P equal segments, projected; a clip of fewer frames has a token for each frame.

    Args:
        in_dim: D of the frames.
        hidden_size: H of the LLM.
        tokens: P.
        hidden_dim: of the projection's hidden layer; None: one linear layer.
        dropout: of the hidden layer.
        ridge: `fit` sets the linear layer to the least-squares map, with this ridge; None: there is no such `fit`.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_size: int,
        tokens: int,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        ridge: float | None = None,
    ) -> None:
        super().__init__()
        self.tokens, self.ridge = tokens, ridge
        self.fits_captions = ridge is not None
        self.projection = projector(in_dim, hidden_size, hidden_dim, dropout)

    def fit(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the linear layer to the map from mean frames to captions; see `TokenLayers`."""
        assert self.ridge is not None
        weight, bias = ridge_regression(pairs, self.ridge)
        linear: Any = self.projection  # learned, or fixed
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)

    def counts(self, frames: Tensor) -> Tensor:
        """Compute the number of tokens: P, or as many as there are frames."""
        return frames.clamp(max=self.tokens)

    def segments(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Find the segment of each frame, (B, T) int64 from 0."""
        del own
        return equal_segments(lengths, frames.shape[1], self.tokens)

    def forward(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Make tokens; see `TokenLayers`."""
        n_tokens = min(self.tokens, frames.shape[1])
        return self.projection(segment_means(frames, self.segments(frames, lengths, own), own, n_tokens))


class MeanPoolingAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of means over equal segments."""

    name: Literal["MeanPoolingAdapter"]
    tokens: int = Field(8, ge=1, le=1024)  # segments of equal length; a shorter clip has a token for each frame
    hidden_dim: int | None = Field(512, ge=1, le=65_536)  # of the projection's hidden layer; null: linear
    dropout: float = Field(0.0, ge=0, lt=1)  # of the hidden layer
    ridge: float | None = Field(None, gt=0, le=1e6)  # start from LeastSquaresAdapter's map of this ridge; null: random

    @model_validator(mode="after")
    def _only_a_linear_layer_is_a_linear_map(self) -> Self:
        if self.ridge is not None and self.hidden_dim is not None:
            raise ValueError(
                f"ridge: {self.ridge} starts from a linear map, and hidden_dim: {self.hidden_dim} adds a hidden layer; "
                "set one of them to null"
            )
        return self

    def layers(self, in_dim: int, hidden_size: int) -> MeanPoolingLayers:
        """Build the layers."""
        return MeanPoolingLayers(in_dim, hidden_size, self.tokens, self.hidden_dim, self.dropout, self.ridge)
