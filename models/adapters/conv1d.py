"""Two strided convolutions over time, each with a linear layer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.adapters.base import CommonAdapterSpec
from models.adapters.layers import TokenLayers


class StridedConvolution(nn.Module):
    """relu(Conv1d) and a linear layer; one output for each `stride` inputs, rounded up, so that no frame is dropped.

    Output i sees the inputs i * stride to (i + 1) * stride - 1, and as many around them as the kernel is longer.

    Args:
        in_dim: D of the inputs.
        hidden_dim: channels of the convolution.
        out_dim: of the linear layer.
        kernel_size: at least `stride`.
        stride: inputs from an output to the next.
    """

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        self.convolution = nn.Conv1d(in_dim, hidden_dim, kernel_size, stride)
        self.linear = nn.Linear(hidden_dim, out_dim)

    def counts(self, inputs: Tensor) -> Tensor:
        """Compute the number of outputs."""
        return -(-inputs // self.stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, T, D) inputs, zeros in the padding, to (B, ceil(T / stride), out_dim)."""
        n_inputs = inputs.shape[1]
        left = (self.kernel_size - self.stride) // 2
        last = (-(-n_inputs // self.stride) - 1) * self.stride - left  # where the last window starts
        padded = F.pad(inputs.transpose(1, 2), (left, last + self.kernel_size - n_inputs))
        return self.linear(self.convolution(padded).relu().transpose(1, 2))


class Conv1dLayers(TokenLayers):
    """relu(Conv1d) -> Linear -> relu(Conv1d) -> Linear, both convolutions with a stride.

    Args:
        in_dim: D of the frames.
        hidden_size: H of the LLM.
        hidden_dim: channels between.
        kernel_size: of both convolutions.
        strides: of the first and of the second.
    """

    def __init__(
        self,
        in_dim: int,
        hidden_size: int,
        hidden_dim: int = 512,
        kernel_size: int = 3,
        strides: tuple[int, int] = (2, 2),
    ) -> None:
        super().__init__()
        self.first = StridedConvolution(in_dim, hidden_dim, hidden_dim, kernel_size, strides[0])
        self.second = StridedConvolution(hidden_dim, hidden_dim, hidden_size, kernel_size, strides[1])

    def counts(self, frames: Tensor) -> Tensor:
        """Compute the number of tokens: frames over both strides, rounded up."""
        return self.second.counts(self.first.counts(frames))

    def forward(self, frames: Tensor, lengths: Tensor, own: Tensor) -> Tensor:
        """Make tokens; see `TokenLayers`."""
        between = self.first(frames)
        # the biases put values into the padding, and a clip that is alone has zeros there
        first_own = own[:, :: self.first.stride]
        return self.second(between.masked_fill(~first_own[:, :, None], 0))


Stride = Annotated[int, Field(ge=1, le=64)]


class Conv1dAdapterSpec(CommonAdapterSpec):
    """The `adapter:` block of two strided convolutions."""

    name: Literal["Conv1dAdapter"]
    hidden_dim: int = Field(512, ge=1, le=65_536)  # channels between the layers
    kernel_size: int = Field(3, ge=1, le=255)  # of both convolutions, at least the larger stride
    strides: tuple[Stride, Stride] = (2, 2)  # a token for each strides[0] * strides[1] frames

    @model_validator(mode="after")
    def _no_frame_is_dropped(self) -> Self:
        if self.kernel_size < max(self.strides):
            raise ValueError(
                f"kernel_size: {self.kernel_size} is below a stride of {max(self.strides)}, so that frames between the "
                f"windows would be dropped; expected {max(self.strides)} or more"
            )
        return self

    def layers(self, in_dim: int, hidden_size: int) -> Conv1dLayers:
        """Build the layers."""
        return Conv1dLayers(in_dim, hidden_size, self.hidden_dim, self.kernel_size, self.strides)
