"""CNN8: six convolutions in the manner of PANNs, for machines without a GPU."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from models.audio_encoders.panns import PANNsEncoder, PANNsSpec
from models.audio_encoders.panns_blocks import ConvBlock
from utils.cli_utils.repairs import make


class CNN8Encoder(PANNsEncoder):
    """Log-mel (B, T, F) -> (B, out_dim), one frame of the last block for each 16 of the input.

    Half of the time that CNN10 takes goes into its first block, on whole frames and bands, where there is least to
    compute from. Here one wide convolution with stride 2 takes its place, as in a ResNet, so that the channels can
    be twice as many at a fraction of the cost. PANNs has no such network, and none of its checkpoints fits.

    Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1, for the first layers.
    """

    kernels: ClassVar = (7, 3, 3, 3, 3, 3)
    pools = (4, 2, 2, 1)  # by how much each block shrinks its input

    def _block(self, number: int, c_in: int, c_out: int, dropout: float) -> ConvBlock:
        if number == 0:
            return ConvBlock(c_in, c_out, (7,), self.pools[0] // 2, dropout, stride=2)
        is_last = number == len(self.pools) - 1
        return ConvBlock(c_in, c_out, (3,) if is_last else (3, 3), self.pools[number], dropout)


class CNN8Spec(PANNsSpec):
    """The `audio_encoder:` block of a CNN8."""

    encoder: ClassVar = CNN8Encoder

    name: Literal["CNN8Encoder"]
    freeze_blocks: int = Field(0, ge=0, le=4)  # the first so many blocks, and the input normalisation, do not learn

    def repair(self) -> str:
        """Return how a file of weights is written again: nobody has published any, so they are of a trial here."""
        return f"write it again: {make('exported-encoder')}"
