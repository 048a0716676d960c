"""CNN14 of PANNs: six blocks of two 3x3 convolutions; 80 million parameters."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from models.audio_encoders.panns import PANNsEncoder, PANNsSpec


class CNN14Encoder(PANNsEncoder):
    """Log-mel (B, T, F) -> (B, out_dim), one frame of the last block for each 32 of the input.

    At `base_channels` 64, `embed_dim` is 2048 and PANNs' checkpoint of CNN14 fits.
    """

    kernels: ClassVar = (3, 3)
    pools: ClassVar = (2, 2, 2, 2, 2, 1)


class CNN14Spec(PANNsSpec):
    """The `audio_encoder:` block of a CNN14."""

    encoder: ClassVar = CNN14Encoder

    name: Literal["CNN14Encoder"]
    freeze_blocks: int = Field(0, ge=0, le=6)  # the first so many blocks, and the input normalisation, do not learn
