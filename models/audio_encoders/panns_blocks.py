"""The convolution block of PANNs, with outputs that do not depend on padding.

A convolution pads its input with zeros. So a clip in a padded batch gets the same activations as alone if its padding
is zero before each convolution, and if batch normalisation, in training, counts only the clips' own frames.

Activations are (B, C, T, F) in `channels_last` memory, where a frame is one row of a (B*T, F*C) matrix: overwriting
the padded rows is cheaper than multiplying everything by a mask, and convolutions are faster on a CPU. That form is
written by hand for eager execution; `ConvBlock.masked` is the same in plain operations, see `panns_masked`.

Source: Kong et al. 2020, "PANNs"; github.com/qiuqiangkong/audioset_tagging_cnn, pytorch/models.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.audio_encoders.panns_masked import frame_mask, masked_batch_norm
from models.initial_values import initialise


def frame_rows(activations: Tensor) -> Tensor:
    """Return a (B*T, F*C) view of (B, C, T, F) activations in channels_last memory: one row a frame."""
    batch, channels, frames, bands = activations.shape
    return activations.permute(0, 2, 3, 1).view(batch * frames, bands * channels)


def rows_beyond(lengths: Tensor, n_frames: int, device: torch.device) -> Tensor:
    """Return the rows of the padded frames.

    Args:
        lengths: (B,) int64 on the CPU: on a GPU, `nonzero` would wait for it.
        n_frames: T of the batch.
        device: of the result.
    Returns:
        (P,) int64, indices into the B*T frames; empty if no clip is padded.
    """
    beyond = torch.arange(n_frames) >= lengths[:, None]  # (B, T)
    return beyond.flatten().nonzero()[:, 0].to(device, non_blocking=True)


class _FillWithMean(torch.autograd.Function):
    """Overwrite padded frames, in place, with the mean of each channel over all frames that are not padding.

    The gradient is written by hand: with autograd, the layer takes more than twice as long on a CPU, since the copy and
    the sum each allocate a gradient as large as the activations.
    """

    @staticmethod
    def forward(ctx: Any, activations: Tensor, padded: Tensor) -> Tensor:
        """Fill the padded rows (P,) of activations (B, C, T, F), which are changed and returned."""
        rows = frame_rows(activations)
        own = rows.new_ones(len(rows)).index_fill_(0, padded, 0)  # (B*T,)
        ctx.count = (len(rows) - len(padded)) * activations.shape[3]
        mean = _sum_of_rows(rows, own, activations.shape) / ctx.count  # (C,)
        rows.index_copy_(0, padded, _as_row(mean, rows, activations.shape).expand(len(padded), -1))
        ctx.mark_dirty(activations)
        ctx.save_for_backward(padded, own)
        return activations

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient (B, C, T, F) of the activations before they were filled."""
        padded, own = ctx.saved_tensors
        # In place: batch_norm's backward has just allocated this gradient, and nothing else refers to it.
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        rows = frame_rows(gradient)
        # All padded frames are copies of the mean: their gradients, summed and divided by the count, flow through it
        # to each own frame; the padded values themselves were overwritten, and get none.
        through_mean = _sum_of_rows(rows, 1 - own, gradient.shape) / ctx.count  # (C,)
        rows.add_(_as_row(through_mean, rows, gradient.shape)).index_fill_(0, padded, 0)
        return gradient, None


def _sum_of_rows(rows: Tensor, weights: Tensor, shape: torch.Size) -> Tensor:
    """Sum the frames that have weight 1, over time and bands: (C,); as a matrix product, which reads memory once."""
    if rows.dtype == torch.float16:  # the product would be float16 too, and sums overflow above 65504
        sums = (rows * weights[:, None]).sum(0, dtype=torch.float32)
    else:
        sums = torch.mv(rows.t(), weights)
    by_band = sums.view(shape[3], shape[1])  # (F, C)
    return by_band.sum(0, dtype=torch.promote_types(sums.dtype, torch.float32))


def _as_row(channels: Tensor, rows: Tensor, shape: torch.Size) -> Tensor:
    """Repeat (C,) values, one a channel, to a row of `frame_rows`: (F*C,)."""
    return channels.to(rows.dtype).repeat(shape[3])


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose training statistics ignore padding.

    State-dict keys, evaluation mode and results without padding are those of `nn.BatchNorm2d`.
    """

    # nn.BatchNorm2d declares them as optional; with the default arguments they are always set.
    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, activations: Tensor, padded: Tensor | None = None) -> Tensor:
        """Normalise.

        Args:
            activations: (B, C, T, F) in channels_last memory; overwritten at the padded frames.
            padded: (P,) rows from `rows_beyond`; None or empty: no frame is padding.
        Returns:
            (B, C, T, F); undefined at the padded frames.
        """
        if padded is None or not len(padded) or not self.training:
            return super().forward(activations)
        bands = activations.shape[3]
        n_all = activations.numel() // activations.shape[1]  # number of values of a channel
        n_own = n_all - len(padded) * bands
        share = n_own / n_all
        # Why not compute the statistics here: torch's fused kernel is several times faster than its formula in Python.
        # With the mean of the own frames in the padding, all frames together have the same mean, and `share` times the
        # variance v of the own frames: w * sqrt(share) / sqrt(share * v + share * eps) = w / sqrt(v + eps).
        filled = _FillWithMean.apply(activations, padded)
        mean, variance = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
        weight = self.weight * share**0.5
        result = F.batch_norm(filled, mean, variance, weight, self.bias, True, 1.0, self.eps * share)
        with torch.no_grad():
            # The kernel gives share * v * n_all / (n_all - 1); nn.BatchNorm2d stores v * n_own / (n_own - 1).
            unbiased = variance * ((n_all - 1) / max(n_own - 1, 1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked += 1
        return result


class ConvBlock(nn.Module):
    """Convolutions, each with batch normalisation and ReLU; then average pooling and dropout.

    State-dict keys are PANNs': conv1.weight, bn1.weight, ..., conv2.weight, ...

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernels: the kernel size, odd, of each convolution: (3, 3) is PANNs' ConvBlock, (5,) its ConvBlock5x5.
        pool: factor of the average pooling in time and frequency.
        dropout: probability, on the output.
        stride: of the first convolution, in time and frequency; PANNs: 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernels: Sequence[int],
        pool: int,
        dropout: float,
        *,
        stride: int = 1,
    ) -> None:
        super().__init__()
        layers = []
        for number, kernel in enumerate(kernels, start=1):
            step = stride if number == 1 else 1
            conv = nn.Conv2d(in_channels, out_channels, kernel, step, padding=kernel // 2, bias=False)
            initialise(conv)  # layer by layer: another order of random draws would change the results of a seed
            norm = MaskedBatchNorm2d(out_channels)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", norm)
            layers.append((conv, norm))
            in_channels = out_channels
        self._layers = tuple(layers)
        self.pool, self.stride = pool, stride
        self.dropout = nn.Dropout(dropout)

    def forward(self, activations: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Run the block.

        Args:
            activations: (B, C, T, F) in channels_last memory, zero in the padding.
            lengths: (B,) int64 on the CPU, frames of each clip, at least `stride * pool`; None: no clip is padded.
        Returns:
            (B, C_out, T / stride // pool, F / stride // pool), again zero in the padding, and the clips' new lengths.
        """
        padded = dropped = None
        if lengths is not None:
            n_frames, lengths = -(-activations.shape[2] // self.stride), self._convolved(lengths)
            device = activations.device
            padded = rows_beyond(lengths, n_frames, device)
            lengths = lengths // self.pool
            # Pooling drops an odd last frame of a clip that is alone: it counts in the batch statistics, but must be
            # zero when a longer clip of the batch makes the pooling reach it.
            dropped = rows_beyond(lengths * self.pool, n_frames, device)
        *first, last = self._layers
        for conv, norm in first:
            activations = _conv_norm_relu(activations, conv, norm, padded, padded)
        activations = _conv_norm_relu(activations, *last, padded, dropped)
        if self.pool > 1:
            activations = F.avg_pool2d(activations, self.pool)
        return self.dropout(activations), lengths

    def masked(self, activations: Tensor, lengths: Tensor) -> Tensor:
        """Run the block in plain operations; arguments and result as of `forward`, `lengths` on the device."""
        own = self._convolved(lengths)
        n_frames = -(-activations.shape[2] // self.stride)
        mask, pooled = frame_mask(own, n_frames), frame_mask(own // self.pool * self.pool, n_frames)
        for number, (conv, norm) in enumerate(self._layers, start=1):
            activations = F.relu(masked_batch_norm(norm, conv(activations), mask))
            activations = torch.where(pooled if number == len(self._layers) else mask, activations, 0)
        if self.pool > 1:
            activations = F.avg_pool2d(activations, self.pool)
        return self.dropout(activations)

    def remaining(self, lengths: Tensor) -> Tensor:
        """Return the clips' lengths after the block."""
        return self._convolved(lengths) // self.pool

    def _convolved(self, lengths: Tensor) -> Tensor:
        # A strided convolution keeps the frame that starts in the clip and ends after it, alone as in a batch.
        return -(-lengths // self.stride)


def _conv_norm_relu(
    activations: Tensor, conv: nn.Conv2d, norm: MaskedBatchNorm2d, padded: Tensor | None, zeroed: Tensor | None
) -> Tensor:
    """Apply convolution, normalisation over the frames that are not `padded`, zeros at the rows `zeroed`, and ReLU."""
    activations = conv(activations).contiguous(memory_format=torch.channels_last)
    activations = norm(activations, padded)
    if zeroed is not None and len(zeroed):
        # Outside of autograd: the gradient of the ReLU is zero where its output is zero.
        frame_rows(activations.detach()).index_fill_(0, zeroed, 0)
    return F.relu_(activations)
