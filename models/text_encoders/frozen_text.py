"""A text encoder without layers: the shared space is that of the frozen text model."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from utils.cli_utils import ConfigError
from utils.config_utils import Spec


class FrozenText(nn.Module):
    """The identity on caption vectors: the text side of a projection into a frozen text space.

    Args:
        dim: E of the vectors.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, E) vectors unchanged."""
        return features


class FrozenTextSpec(Spec):
    """The `text_encoder:` block of unchanged caption vectors."""

    input: ClassVar[Literal["vector"]] = "vector"

    name: Literal["FrozenText"]

    def build(self, out_dim: int, text_dim: int) -> FrozenText:
        """Build the encoder.

        Raises:
            ConfigError: out_dim is not the width of the vectors.
        """
        if out_dim != text_dim:
            raise ConfigError(
                f"model.out_dim: found {out_dim}, but the frozen text vectors have {text_dim} dimensions; "
                f"use {text_dim}, or null, or a text encoder that learns, such as SentBERTBaseEncoder"
            )
        return FrozenText(text_dim)
