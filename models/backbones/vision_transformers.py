"""Vision transformers of transformers: CLIP, SigLIP, DINOv2; a grid of patch tokens, or the picture's own vector.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision" (CLIP); Zhai et al.
2023, "Sigmoid loss for language image pre-training"; Oquab et al. 2023, "DINOv2"; transformers, models/{clip, siglip,
dinov2}.
"""

from __future__ import annotations

import importlib
import math
from typing import Any, NamedTuple

from torch import Tensor

from models.backbones.extractors import read_extractor
from models.backbones.images import ImageBackbone
from models.backbones.layers import keep_layers
from utils.cli_utils import UserError
from utils.image_utils import ImageInput
from utils.pretrained_utils import check_type, load_pretrained, read_config

_MAX_SIDE = 2048  # of a network's input: a crafted configuration must not fill the memory


class _Kind(NamedTuple):
    """How a family of networks is built."""

    network: str  # class of transformers
    processor: str  # module and class of transformers, which need no Torchvision
    special: int  # tokens before those of the patches
    pooling: str


_CLIP = _Kind(
    "CLIPVisionModelWithProjection", "clip.image_processing_pil_clip.CLIPImageProcessorPil", 1, "projected class token"
)
_SIGLIP = _Kind(
    "SiglipVisionModel", "siglip.image_processing_pil_siglip.SiglipImageProcessorPil", 0, "attention over the patches"
)
_KINDS = {
    "clip": _CLIP,
    "clip_vision_model": _CLIP,  # the vision network alone
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "dinov2": _Kind("Dinov2Model", "bit.image_processing_pil_bit.BitImageProcessorPil", 1, "class token"),
}
VISION_TYPES = tuple(_KINDS)


class VisionTransformerBackbone(ImageBackbone):
    """A vision transformer.

    Its frames are the last hidden state without the class token; those of CLIP are taken before the last
    normalisation, which CLIP trained for its class token alone. LLaVA takes the layer before the last: `layers` one
    fewer than there are.

    Args:
        network: of transformers.
        image_input: what its processor makes of a picture.
        special: number of tokens before those of the patches.
        pooling: see `ImageBackbone.vector_pooling`.
    """

    def __init__(self, network: Any, image_input: ImageInput, special: int, pooling: str) -> None:
        super().__init__()
        config = network.config
        self.network = network
        self.image_input = image_input
        self.patches = (image_input.height // config.patch_size) * (image_input.width // config.patch_size)
        self.width = self.vector_width = config.hidden_size
        if hasattr(network, "visual_projection"):
            self.vector_width = config.projection_dim
        self.vector_pooling = pooling
        self._special = special

    def frames(self, pixels: Tensor) -> Tensor:
        """See `ImageBackbone.frames`."""
        return self.network(pixel_values=pixels).last_hidden_state[:, self._special :]

    def vectors(self, pixels: Tensor) -> Tensor:
        """(B, vector_width): CLIP's projected embedding, which is not normalised, or the network's pooled output."""
        output = self.network(pixel_values=pixels)
        embeds = getattr(output, "image_embeds", None)
        return output.pooler_output if embeds is None else embeds


def load_vision_transformer(model: str, key: str, layers: int | None = None) -> VisionTransformerBackbone:
    """Load a vision transformer from a folder or hub, of a whole CLIP or SigLIP or of its vision network alone.

    Args:
        model: see `find_model`.
        key: of the YAML, for messages.
        layers: keep the first so many transformer layers; None: all.
    Raises:
        UserError: no such model, one of another type, incomplete or broken files, a preprocessor_config.json for
            another network, or more layers than there are.
    """
    import transformers

    config: Any = read_config(model, key)
    kind = _KINDS[check_type(config, VISION_TYPES, model, key)]
    if kind is _CLIP and "CLIPVisionModel" in (config.architectures or ()):
        kind = kind._replace(network="CLIPVisionModel", pooling="class token, without a projection")
    if hasattr(config, "vision_config"):
        # where the two differ, the whole model's own width is right, as for the text network
        projection_dim = getattr(config, "projection_dim", None)
        config = config.vision_config
        config.projection_dim = projection_dim
    # old checkpoints hold the numbers of the positions too, new ones do not
    network = load_pretrained(getattr(transformers, kind.network), model, key, ("position_ids", "mask_token"), config)
    encoder = getattr(network, "vision_model", network).encoder
    stack = "layer" if hasattr(encoder, "layer") else "layers"
    setattr(encoder, stack, keep_layers(getattr(encoder, stack), layers, model, key))
    image_input = _read_input(kind, config, model, key)
    return VisionTransformerBackbone(network, image_input, kind.special, kind.pooling).eval()


def _read_input(kind: _Kind, config: Any, model: str, key: str) -> ImageInput:
    """What the model's image processor makes of a picture; without its file, what CLIP's makes at the network's size.

    Raises:
        UserError: it cannot be used, or makes pictures of another size than the network takes.
    """
    module, _, name = kind.processor.rpartition(".")
    side = config.image_size
    sizes = {"size": {"height": side, "width": side}, "crop_size": {"height": side, "width": side}}
    if kind is not _SIGLIP:
        sizes["size"] = {"shortest_edge": side}
    processor_class = getattr(importlib.import_module(f"transformers.models.{module}"), name)
    processor = read_extractor(processor_class, model, key, absent=sizes)
    try:
        image_input = _input_of(processor)
        _check(image_input, None if kind.network == "Dinov2Model" else side, config.patch_size)
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{key}: {model}: preprocessor_config.json cannot be used: {error}; take it and config.json from one model"
        ) from error
    return image_input


def _input_of(processor: Any) -> ImageInput:
    """The numbers of an image processor of transformers.

    Raises:
        ValueError: it does something else than resizing, cutting, rescaling and normalising.
    """
    size, crop = processor.size, processor.crop_size if processor.do_center_crop else processor.size
    resized = size.shortest_edge or (size.height, size.width)
    if not processor.do_resize or getattr(processor, "do_pad", None):
        raise ValueError("do_resize is false or do_pad is true, expected pictures of one size")
    mean, std = processor.image_mean, processor.image_std
    if not processor.do_normalize:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    scale = float(processor.rescale_factor) if processor.do_rescale else 1.0
    resample = int(processor.resample)
    return ImageInput(crop.height, crop.width, resized, resample, scale, _three(mean), _three(std))


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _check(wanted: ImageInput, side: int | None, patch_size: int) -> None:
    """Check an input read from a file.

    Raises:
        ValueError: its sizes are no numbers, too large, or not those of the network; or it divides by zero.
    """
    rows, columns = (wanted.resized, wanted.resized) if isinstance(wanted.resized, int) else wanted.resized
    sizes = (wanted.height, wanted.width, rows, columns)
    if not all(isinstance(size, int) and patch_size <= size <= _MAX_SIDE for size in sizes):
        raise ValueError(f"sizes are {sizes}, expected {patch_size} to {_MAX_SIDE} pixels")
    if wanted.height > rows or wanted.width > columns:
        raise ValueError(f"it cuts {wanted.height} x {wanted.width} pixels out of {rows} x {columns}")
    if side is not None and (wanted.height, wanted.width) != (side, side):
        raise ValueError(f"it makes {wanted.height} x {wanted.width} pixels, the network takes {side} x {side}")
    numbers = [wanted.scale, *wanted.mean, *wanted.std]
    if not all(map(math.isfinite, numbers)) or min(wanted.std) <= 0 or not 0 <= wanted.resample <= 5:
        raise ValueError("rescale_factor, image_mean, image_std or resample is out of range")
