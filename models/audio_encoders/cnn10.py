"""CNN10 of PANNs: four blocks of two 3x3 convolutions; 5 million parameters."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from models.audio_encoders.panns import PANNsEncoder, PANNsSpec


class CNN10Encoder(PANNsEncoder):
    """Log-mel (B, T, F) -> (B, out_dim); the last block has one frame for 16 of the input.

    With `base_channels` 64, `embed_dim` is 512, and PANNs' checkpoint of CNN10 can be loaded.
    """

    kernels: ClassVar = (3, 3)
    pools = (2, 2, 2, 2)


class CNN10Spec(PANNsSpec):
    """The `audio_encoder:` block of a CNN10."""

    encoder: ClassVar = CNN10Encoder

    name: Literal["CNN10Encoder"]
    freeze_blocks: int = Field(0, ge=0, le=4)  # the first so many blocks, and the input normalisation, do not learn
