"""The table of pretrained networks on pictures, and the base class of them all."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from utils.image_utils import ImageInput


class ImageBackbone(nn.Module, ABC):
    """A pretrained network on pictures of one size: a grid of patch tokens, or one vector, of each picture.

    Attributes:
        image_input: what `pixels` are.
        patches: number of patch tokens of a picture.
        width: D of a patch token.
        vector_width: E of the vectors.
        vector_pooling: how the picture's vector is made, for people.
    """

    image_input: ImageInput
    patches: int
    width: int
    vector_width: int
    vector_pooling: str

    @abstractmethod
    def frames(self, pixels: Tensor) -> Tensor:
        """Embed the patches of pictures, row by row from the top.

        Args:
            pixels: (B, 3, H, W) float32, normalised as `image_input` says.
        Returns:
            (B, patches, width).
        """

    @abstractmethod
    def vectors(self, pixels: Tensor) -> Tensor:
        """Embed pictures as (B, vector_width); arguments as of `frames`."""
