"""A small head on frozen sentence vectors, such as those of all-MiniLM-L6-v2."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from models.initial_values import InitialValues, initialise
from utils.config_utils import Spec


class SentBERTBaseEncoder(nn.Module):
    """Sentence vectors -> the shared space, by one linear layer or a small MLP.

    Args:
        in_dim: E_text, width of the sentence vectors.
        out_dim: E of the output.
        hidden_dims: widths of the hidden layers, each followed by ReLU; empty: as in the DCASE 2023 baseline.
        dropout: probability before each linear layer.

    Source: DCASE 2023 task 6B baseline, models/text_encoders.
    """

    def __init__(self, in_dim: int, out_dim: int, hidden_dims: Sequence[int] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim
        layers: list[nn.Module] = []
        for width_in, width_out in itertools.pairwise([in_dim, *hidden_dims, out_dim]):
            linear = nn.Linear(width_in, width_out)
            initialise(linear)
            layers += [nn.Dropout(dropout), linear, nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # no ReLU after the last layer

    def forward(self, features: Tensor) -> Tensor:
        """Embed captions.

        Args:
            features: (B, E_text) float32 sentence vectors.
        Returns:
            (B, out_dim), not normalised.
        Raises:
            ValueError: vectors of another width.
        """
        if features.dim() != 2 or features.shape[1] != self.in_dim:
            raise ValueError(f"text features are {tuple(features.shape)}, expected (B, {self.in_dim})")
        return self.layers(features)


class SentBERTBaseSpec(Spec):
    """The `text_encoder:` block of a head on sentence vectors."""

    input: ClassVar[Literal["vector"]] = "vector"

    name: Literal["SentBERTBaseEncoder"]
    hidden_dims: tuple[Annotated[int, Field(gt=0, le=8192)], ...] = ()  # none: one linear layer
    dropout: float = Field(0.0, ge=0, lt=1)  # before each linear layer
    init: InitialValues = "xavier_uniform"  # or kaiming_normal, as the DCASE 2023 baseline

    def build(self, out_dim: int, text_dim: int) -> SentBERTBaseEncoder:
        """Build the encoder.

        Args:
            out_dim: E of the shared space.
            text_dim: E_text, width of the run's sentence vectors.
        """
        encoder = SentBERTBaseEncoder(text_dim, out_dim, self.hidden_dims, self.dropout)
        if self.init != "xavier_uniform":
            initialise(encoder, self.init)
        return encoder
