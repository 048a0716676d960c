"""The space of a frozen text model itself: caption vectors pass through unchanged."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from utils.cli_utils import ConfigError
from utils.config_utils import Spec


class FrozenText(nn.Module):
    """Caption vectors as they are: the text side of a projection into frozen text space.

    Args:
        dim: E of the vectors.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.out_dim = dim

    def forward(self, features: Tensor) -> Tensor:
        """(B, E) -> the same."""
        return features


class FrozenTextSpec(Spec):
    """The `text_encoder:` block of captions that stay where the frozen text model puts them."""

    input: ClassVar[Literal["vector"]] = "vector"

    name: Literal["FrozenText"]

    def build(self, out_dim: int, text_dim: int) -> FrozenText:
        """The encoder, which does nothing.

        Raises:
            ConfigError: the shared space is not as wide as the vectors.
        """
        if out_dim != text_dim:
            raise ConfigError(
                f"model.out_dim: found {out_dim}, but the frozen text vectors have {text_dim} dimensions; "
                f"use {text_dim}, or null, or a text encoder that learns, such as SentBERTBaseEncoder"
            )
        return FrozenText(text_dim)
