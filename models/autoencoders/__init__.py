"""The autoencoders: the choices of `model.name`.

Each makes windows again from a code, and embeds them: `autoencoder(x, lengths) -> Reconstructed`, whatever the length;
a window's results are the same alone and in any batch. Its Spec builds it: `spec.build(width, max_length)`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.autoencoders.base import Autoencoder, Reconstructed, dead_units
from models.autoencoders.mlp import MLPAutoencoderSpec
from models.autoencoders.windows import FrameAutoencoderSpec, SpectrogramAutoencoderSpec, WaveAutoencoderSpec

AutoencoderSpec = Annotated[
    MLPAutoencoderSpec | WaveAutoencoderSpec | FrameAutoencoderSpec | SpectrogramAutoencoderSpec,
    Field(discriminator="name"),
]

__all__ = ["Autoencoder", "AutoencoderSpec", "Reconstructed", "dead_units"]
