"""Frozen image encoders behind one interface: pictures in, one vector or the patch tokens of each out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.backbones.efficientnet import PACKAGE_NAME, load_efficientnet
from models.backbones.images import ImageBackbone
from models.backbones.vision_transformers import load_vision_transformer
from models.frozen.base import Array, FrozenEncoder
from models.frozen.hold import freeze
from utils.artefact_utils.audio_embeddings import ImagePooling
from utils.image_utils import Picture
from utils.model_packages import split_package
from utils.model_utils import autocast
from utils.model_utils.devices import Precision, precision_on

IMAGE_MODEL_KEY = "data.image_embeddings.model"


class FrozenImageEncoder(FrozenEncoder[Picture]):
    """A frozen network, applied to pictures of any size.

    Attributes:
        frame_width: D of the patch tokens; `width` is that of the vectors.
        patches: number of patch tokens of a picture.
        device: that it runs on.
        precision: of its forward pass.

    Args:
        name: as the YAML names it.
        backbone: the network; it is frozen in place.
        device: where to compute.
        precision: in mixed precision on a GPU; a CPU computes in fp32.
    """

    def __init__(self, name: str, backbone: ImageBackbone, device: torch.device, precision: Precision) -> None:
        super().__init__(name, backbone.vector_width)
        freeze(backbone)
        self._backbone = backbone.to(device)
        self._input = backbone.image_input
        self.frame_width = backbone.width
        self.patches = backbone.patches
        self.vector_pooling = backbone.vector_pooling
        self.device = device
        self.precision = precision_on(device, precision)

    def describe_input(self) -> str:
        """Describe the network's input: its size, how a picture is brought to it, and how its numbers are scaled."""
        return self._input.describe()

    def prepare(self, picture: Picture) -> Picture:
        """Bring a picture (H, W, 3) uint8 to the network's size."""
        return self._input.prepare(picture)

    def vectors(self, items: Sequence[Picture]) -> Array:
        """(n, width) of pictures (H, W, 3) uint8, RGB."""
        found = self.embed([self.prepare(item) for item in items], "pooled")
        return np.concatenate(found) if found else np.zeros((0, self.width), np.float32)

    def frames(self, items: Sequence[Picture]) -> list[Array]:
        """Of each picture (H, W, 3) uint8, RGB: (patches, frame_width), row by row from the top."""
        return self.embed([self.prepare(item) for item in items], "patches")

    @torch.inference_mode()
    def embed(self, prepared: Sequence[Picture], pooling: ImagePooling, batch_size: int = 16) -> list[Array]:
        """Embed pictures that are brought to the network's size.

        Args:
            prepared: each as `prepare` gives it.
            pooling: a frame for each patch, or one for the picture.
            batch_size: pictures in a batch.
        Returns:
            Of each picture (patches, frame_width) float32, or (1, width).
        """
        outputs: list[Array] = []
        for first in range(0, len(prepared), batch_size):
            pixels = self._pixels(prepared[first : first + batch_size])
            with autocast(self.device, self.precision):
                if pooling == "patches":
                    frames = self._backbone.frames(pixels)
                else:
                    frames = self._backbone.vectors(pixels)[:, None]
            outputs.extend(frames.float().cpu().numpy())
        return outputs

    def _pixels(self, prepared: Sequence[Picture]) -> Tensor:
        """(B, 3, H, W) float32, normalised on the device: bytes are a quarter of what floats would be to copy."""
        pixels = torch.from_numpy(np.stack(prepared)).to(self.device).float().permute(0, 3, 1, 2)
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None] for values in (self._input.mean, self._input.std)
        )
        return (pixels * self._input.scale - mean) / std


def load_frozen_image(
    model: str,
    layers: int | None = None,
    device: torch.device | None = None,
    precision: Precision = "fp32",
    key: str = IMAGE_MODEL_KEY,
) -> FrozenImageEncoder:
    """Load a pretrained image encoder, frozen.

    Args:
        model: a hub's name or a folder of CLIP, SigLIP or DINOv2; or `package:efficientnet-lite0`.
        layers: use only the first n transformer layers; None: all.
        device: where to compute; None: the CPU.
        precision: on a GPU.
        key: of the YAML, for messages.
    Raises:
        UserError: no such model, one of another type, or broken files.
    """
    package, variant = split_package(model) or ("", "")
    load = load_efficientnet if (package, variant) == (PACKAGE_NAME, "") else load_vision_transformer
    return FrozenImageEncoder(model, load(model, key, layers), device or torch.device("cpu"), precision)
