"""Strided convolutions and their mirror images, over time (and bands), for inputs of any length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from models.autoencoders.layers import Count, MirroredLayers, own_steps

# Number of axes -> the layer, and its mirror image.
_CONVOLUTIONS: dict[int, tuple[type[nn.Module], type[nn.Module]]] = {
    1: (nn.Conv1d, nn.ConvTranspose1d),
    2: (nn.Conv2d, nn.ConvTranspose2d),
}


def kernel_of(stride: int) -> int:
    """Return the kernel of a stride: twice as long, so that every input is seen equally often, and at least 3."""
    return max(3, 2 * stride)


class MirroredConvolution(nn.Module):
    """A strided convolution of n to ceil(n / stride) values, and the transposed one, from these back to n.

    Output i of the one sees the inputs of its stride and as many around them as the kernel is longer; the other writes
    to the very same places. No input is dropped, and no length needs to be a multiple of the stride.

    Args:
        in_channels: of the input, and of what comes back.
        out_channels: between.
        stride: along each axis after the channels: time, or time and bands.
        dropout: of the activations, in both directions.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.stride = tuple(stride)
        self.kernel = tuple(kernel_of(one) for one in stride)
        forth, back = _CONVOLUTIONS[len(self.stride)]
        self.convolution = forth(in_channels, out_channels, self.kernel, self.stride)
        self.transposed = back(out_channels, in_channels, self.kernel, self.stride)
        self.dropout = nn.Dropout(dropout)
        self._left = tuple((k - s) // 2 for k, s in zip(self.kernel, self.stride, strict=True))

    def sizes(self, inputs: Sequence[int]) -> tuple[int, ...]:
        """Compute the sizes between from those of the input."""
        return tuple(-(-n // s) for n, s in zip(inputs, self.stride, strict=True))

    def down(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C, T[, F]), zeros in the padding, to (B, C', T'[, F'])."""
        padding: list[int] = []
        for n, s, k, left in zip(inputs.shape[2:], self.stride, self.kernel, self._left, strict=True):
            padding = [left, (-(-n // s) - 1) * s + k - left - n, *padding]  # torch counts axes from the last
        return self.dropout(F.gelu(self.convolution(F.pad(inputs, padding))))

    def up(self, hidden: Tensor, own: Tensor, sizes: Sequence[int]) -> Tensor:
        """Bring (B, C', T'[, F']) back to (B, C, T[, F]).

        Args:
            hidden: before the activation; the padding may hold any finite number.
            own: False in the padding, of a shape that `hidden` can be multiplied with.
            sizes: T[, F] of the result.
        """
        outputs = self.transposed(self.dropout(F.gelu(hidden)).masked_fill(~own, 0))
        for axis, (left, n) in enumerate(zip(self._left, sizes, strict=True), start=2):
            outputs = outputs.narrow(axis, left, n)
        return outputs


class ConvolutionLayers(MirroredLayers):
    """Strided convolutions over time, or over time and bands.

    Args:
        width: W of a frame: the channels of the first convolution over time, or F bands of a log-mel.
        channels: of each layer.
        strides: of each layer, along time, and with `over_bands` along bands too.
        over_bands: whether the layers convolve over bands too.
        dropout: of the activations.
    """

    def __init__(
        self,
        width: int,
        channels: Sequence[int],
        strides: Sequence[int],
        over_bands: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.width, self.over_bands = width, over_bands
        inputs = [1 if over_bands else width, *channels]
        axes = 2 if over_bands else 1
        self.layers = nn.ModuleList(
            MirroredConvolution(inner, outer, [stride] * axes, dropout)
            for inner, outer, stride in zip(inputs, channels, strides, strict=False)
        )
        self.frames_per_step = math.prod(strides)
        self.hidden_width = channels[-1] * (self._sizes(1)[-1][1] if over_bands else 1)

    def _layers(self) -> list[MirroredConvolution]:
        return [layer for layer in self.layers if isinstance(layer, MirroredConvolution)]

    def _sizes(self, n_frames: int) -> list[tuple[int, ...]]:
        """Compute T (and F) before each layer and after the last."""
        sizes: list[tuple[int, ...]] = [(n_frames, self.width) if self.over_bands else (n_frames,)]
        for layer in self._layers():
            sizes.append(layer.sizes(sizes[-1]))
        return sizes

    def _lengths(self, lengths: Count) -> list[Count]:
        """Compute the lengths of windows before each layer and after the last."""
        found = [lengths]
        for layer in self._layers():
            found.append(-(-found[-1] // layer.stride[0]))
        return found

    def _own(self, lengths: Tensor, n_frames: int) -> Tensor:
        own = own_steps(lengths, n_frames)[:, None]
        return own[..., None] if self.over_bands else own

    def counts(self, lengths: Count) -> Count:
        """Compute the number of steps: frames over all strides, rounded up."""
        return self._lengths(lengths)[-1]

    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Encode; see `MirroredLayers`."""
        x = frames[:, None] if self.over_bands else frames.transpose(1, 2)
        for layer, between in zip(self._layers(), self._lengths(lengths)[1:], strict=True):
            x = layer.down(x)
            # biases put values into the padding, and a window that is alone has zeros there
            x = x.masked_fill(~self._own(between, x.shape[2]), 0)
        return x.transpose(1, 2).flatten(2)

    def decode(self, hidden: Tensor, lengths: Tensor, n_frames: int) -> Tensor:
        """Decode; see `MirroredLayers`."""
        sizes, counts = self._sizes(n_frames), self._lengths(lengths)
        x = hidden.unflatten(2, (-1, sizes[-1][1])) if self.over_bands else hidden
        x = x.transpose(1, 2)
        for number, layer in reversed(list(enumerate(self._layers()))):
            x = layer.up(x, self._own(counts[number + 1], x.shape[2]), sizes[number])
        return x[:, 0] if self.over_bands else x.transpose(1, 2)
