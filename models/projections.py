"""Projections of a frozen encoder's vectors: linear (CLAP projection), or a small MLP.

Both are choices of `model.audio_encoder`; their input is one vector a clip, from the file of `data.audio_embeddings`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.standardisation import Standardisation
from utils.config_utils import Spec


class Projection(nn.Module):
    """Layers on audio vectors, with standardised inputs and noise as options.

    Args:
        in_dim: E_audio, width of the vectors.
        out_dim: E of the output.
        layers: (B, E_audio) -> (B, E).
        standardise: whether inputs are standardised; if so, call `fit` with the training data.
        noise: standard deviation of the Gaussian noise that is added to each (standardised) input in training. A few
            hundred clips span far fewer dimensions than the vectors have: noise keeps the layer from using the others.
    """

    def __init__(self, in_dim: int, out_dim: int, layers: nn.Module, standardise: bool, noise: float) -> None:
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim
        self.standardisation = Standardisation(in_dim) if standardise else None
        self.noise = noise
        self.layers = layers

    def fit(self, vectors: Tensor) -> None:
        """Fit the standardisation, if there is one, to (N, E_audio) training vectors, each clip once."""
        if self.standardisation is not None:
            self.standardisation.fit([vectors])

    def forward(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Project clips.

        Args:
            vectors: (B, E_audio) float32.
            lengths: ignored; all audio encoders have the same arguments.
        Returns:
            (B, out_dim), not normalised.
        Raises:
            ValueError: vectors of another width.
        """
        del lengths
        if vectors.dim() != 2 or vectors.shape[1] != self.in_dim:
            raise ValueError(f"audio vectors are {tuple(vectors.shape)}, expected (B, {self.in_dim})")
        if self.standardisation is not None:
            vectors = self.standardisation(vectors)
        if self.training and self.noise:
            vectors = vectors + self.noise * torch.randn_like(vectors)
        return self.layers(vectors)


class AudioProjection(Projection):
    """One linear layer from audio vectors into the space of the text vectors."""

    def __init__(self, in_dim: int, out_dim: int, standardise: bool = False, noise: float = 0.0) -> None:
        super().__init__(in_dim, out_dim, nn.Linear(in_dim, out_dim), standardise, noise)


class MLPProjection(Projection):
    """A hidden layer with ReLU and dropout before the linear one."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        standardise: bool = False,
        noise: float = 0.0,
        hidden_dim: int = 512,
        dropout: float = 0.0,
    ) -> None:
        layers = nn.Sequential(
            nn.Linear(in_dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_dim, out_dim)
        )
        super().__init__(in_dim, out_dim, layers, standardise, noise)


class ProjectionSpec(Spec):
    """The keys that the `audio_encoder:` blocks of both projections share."""

    input: ClassVar[Literal["vector"]] = "vector"

    standardise: bool = False  # inputs to mean 0 and deviation 1, by the training clips
    noise: float = Field(0.0, ge=0, le=100)  # deviation of the noise that training adds to the (standardised) inputs


class AudioProjectionSpec(ProjectionSpec):
    """The `audio_encoder:` block of a linear projection."""

    name: Literal["AudioProjection"]

    def build(self, out_dim: int, in_dim: int) -> AudioProjection:
        """Build the projection from `in_dim`, the width of the audio vectors, to `out_dim`, E of the shared space."""
        return AudioProjection(in_dim, out_dim, self.standardise, self.noise)


class MLPProjectionSpec(ProjectionSpec):
    """The `audio_encoder:` block of an MLP."""

    name: Literal["MLPProjection"]
    hidden_dim: int = Field(512, gt=0, le=65_536)
    dropout: float = Field(0.0, ge=0, lt=1)  # of the hidden layer

    def build(self, out_dim: int, in_dim: int) -> MLPProjection:
        """Build the projection from `in_dim`, the width of the audio vectors, to `out_dim`, E of the shared space."""
        return MLPProjection(in_dim, out_dim, self.standardise, self.noise, self.hidden_dim, self.dropout)
