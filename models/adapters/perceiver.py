"""A perceiver resampler: learned queries that attend to the frames of a clip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.adapters.base import CommonAdapterSpec
from models.adapters.layers import TokenLayers
from models.positions import sinusoids


class ResamplerLayer(nn.Module):
    """Queries attend to frames and to each other, then pass a feed-forward network; both with a residual connection.

    Args:
        width: W of queries and frames.
        heads: of the attention.
        dropout: of the attention's weights and of the feed-forward network.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # its bias would change all scores of a query alike
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )

    def forward(self, queries: Tensor, frames: Tensor, seen: Tensor) -> Tensor:
        """Update (B, P, W) queries from (B, T, W) frames; `seen` is (B, 1, 1, T + P), False in the padding."""
        normed = self.norm(queries)
        both = torch.cat([frames, normed], dim=1)
        query, key, value = (self._by_head(x) for x in (self.query(normed), self.key(both), self.value(both)))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=dropout)
        queries = queries + self.out(mixed.transpose(1, 2).flatten(2))
        return queries + self.feed_forward(queries)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class PerceiverLayers(TokenLayers):
    """P learned queries, updated by layers of cross-attention, and projected.

    Args:
        in_dim: D of the frames.
        hidden_size: H of the LLM.
        tokens: P, for clips of any length.
        width: W inside.
        blocks: of cross-attention and feed-forward network, all of width W.
    Source: Alayrac et al. 2022, "Flamingo: a visual language model for few-shot learning", figure 5; sinusoidal
        positions in place of learned ones, so that a clip may be longer than any in training.
    """

    def __init__(
        self, in_dim: int, hidden_size: int, tokens: int, width: int, blocks: Iterable[ResamplerLayer]
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.embed = nn.Sequential(nn.Linear(in_dim, width), nn.LayerNorm(width))
        self.queries = nn.Parameter(torch.randn(tokens, width))
        self.blocks = nn.ModuleList(blocks)
        self.projection = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden_size))

    def counts(self, frames: Tensor) -> Tensor:
        """Compute the number of tokens: always P."""
        return torch.full_like(frames, self.tokens)

    def forward(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Make tokens; see `TokenLayers`."""
        del lengths
        embedded = self.embed(frames)
        embedded = embedded + sinusoids(frames.shape[1], embedded.shape[2], frames.device).to(embedded.dtype)
        queries = self.queries.expand(len(frames), -1, -1)
        seen = F.pad(own, (0, self.tokens), value=True)[:, None, None, :]  # the queries follow the frames
        for block in self.blocks:
            queries = block(queries, embedded, seen)
        return self.projection(queries)


class PerceiverAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of a perceiver resampler."""

    name: Literal["PerceiverAdapter"]
    tokens: int = Field(8, ge=1, le=1024)  # learned queries, for clips of any length
    width: int = Field(256, ge=2, le=8192, multiple_of=2)  # of queries and frames inside
    layer_count: int = Field(2, ge=1, le=48)  # cross-attention and a feed-forward network each
    heads: int = Field(4, ge=1, le=128)  # of the attention; width is a multiple of it
    dropout: float = Field(0.0, ge=0, lt=1)  # of attention weights and feed-forward networks

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width: {self.width} is no multiple of heads: {self.heads}; change one of them")
        return self

    def layers(self, in_dim: int, hidden_size: int) -> PerceiverLayers:
        """Build the layers."""
        blocks = [ResamplerLayer(self.width, self.heads, self.dropout) for _ in range(self.layer_count)]
        return PerceiverLayers(in_dim, hidden_size, self.tokens, self.width, blocks)
