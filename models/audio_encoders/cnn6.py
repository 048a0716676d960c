"""CNN6 of PANNs: four blocks of one 5x5 convolution; 5 million parameters."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from models.audio_encoders.panns import PANNsEncoder, PANNsSpec


class CNN6Encoder(PANNsEncoder):
    """Log-mel (B, T, F) -> (B, out_dim); the last block has one frame for 16 of the input.

    With `base_channels` 64, `embed_dim` is 512, and PANNs' checkpoint of CNN6 can be loaded.
    """

    kernels: ClassVar = (5,)
    pools = (2, 2, 2, 2)


class CNN6Spec(PANNsSpec):
    """The `audio_encoder:` block of a CNN6."""

    encoder: ClassVar = CNN6Encoder

    name: Literal["CNN6Encoder"]
    freeze_blocks: int = Field(0, ge=0, le=4)  # the first so many blocks, and the input normalisation, do not learn
