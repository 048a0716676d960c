"""An autoencoder of one vector a track, by linear layers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.autoencoders.base import CommonAutoencoderSpec, Input
from models.autoencoders.bottleneck import VectorBottleneck
from models.autoencoders.layers import MirroredLayers, MLPLayers

Width = Annotated[int, Field(ge=1, le=65_536)]


class MLPAutoencoderSpec(CommonAutoencoderSpec):
    """The `model:` block of an MLP on features; without hidden layers it spans the same space as PCA."""

    input: ClassVar[Input] = "features"

    name: Literal["MLPAutoencoder"]
    hidden_dims: tuple[Width, ...] = (256,)  # widths from the input to the code; the decoder has them in reverse

    def build_layers(self, width: int) -> MLPLayers:
        """Build the linear layers."""
        return MLPLayers(width, self.hidden_dims, self.dropout)

    def build_bottleneck(self, layers: MirroredLayers, max_length: int) -> VectorBottleneck:
        """Build the bottleneck: the code of a vector."""
        del max_length
        self._refuse_wider(layers.width, "a feature vector")
        return VectorBottleneck(layers.hidden_width, self.latent_dim, self.variational)
