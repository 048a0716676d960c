"""CNN14 of PANNs: six blocks of two 3x3 convolutions; 80 million parameters."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from models.audio_encoders.panns import PANNsEncoder, PANNsSpec

LastPool = Literal["panns", "dcase2023"]
POOLS: dict[LastPool, tuple[int, ...]] = {"panns": (2, 2, 2, 2, 2, 1), "dcase2023": (2, 2, 2, 2, 2, 2)}


class CNN14Encoder(PANNsEncoder):
    """Log-mel (B, T, F) -> (B, out_dim); the last block has one frame for 32 of the input.

    The networks of the DCASE 2023 baseline and of WavCaps pool after the sixth block too, to one frame for 64. With
    `base_channels` 64, `embed_dim` is 2048, and PANNs' checkpoint of CNN14 can be loaded.
    """

    kernels: ClassVar = (3, 3)
    pools = POOLS["panns"]


class CNN14Spec(PANNsSpec):
    """The `audio_encoder:` block of a CNN14."""

    encoder: ClassVar = CNN14Encoder

    name: Literal["CNN14Encoder"]
    freeze_blocks: int = Field(0, ge=0, le=6)  # the first so many blocks, and the input normalisation, do not learn
    last_pool: LastPool = "panns"  # after block 6: panns (none, 32 frames become one) | dcase2023 (2 by 2, 64)

    @property
    def pools(self) -> tuple[int, ...]:
        """The pooling factor of each block."""
        return POOLS[self.last_pool]
