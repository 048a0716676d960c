"""Masks and batch statistics of padded clips in plain torch operations, from which torch.compile makes one graph.

A padding mask is a comparison with the clips' lengths on the device: nothing is indexed, no shape depends on values,
and a compiled kernel computes the mask where it needs it, without reading it from memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from utils.model_utils.ranks import ranks, sum_over_ranks


def plain_form_needed() -> bool:
    """Whether batch statistics are those of several processes, so that they cannot be left to torch's own kernel."""
    return ranks() > 1


def size_on_grid(size: int, step: int = 1) -> int:
    """Round up to a multiple of `step`, of which there are 8 in every octave: at most an eighth is added.

    Args:
        size: at least 1.
        step: the smallest size; one below 8 steps has just the multiples there are.
    """
    steps = -(-size // step)
    spacing = 2 ** max((steps - 1).bit_length() - 4, 0)
    return -(-steps // spacing) * spacing * step


def frame_mask(lengths: Tensor, n_frames: int) -> Tensor:
    """Return (B, 1, T, 1) bool, True at the clips' own frames; `lengths` (B,) int64, on the device of the result."""
    return (torch.arange(n_frames, device=lengths.device) < lengths[:, None])[:, None, :, None]


class _OwnSums(torch.autograd.Function):
    """Sum and sum of squares over the own frames.

    The gradient is written by hand: of the plain formula, torch.compile saves a second copy of all activations, in
    float32, for the backward pass; of this one it saves what the convolution gave.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Sum (B, C, T, F) values where the mask (B, 1, T, 1) is True, and their squares: two tensors (C,)."""
        ctx.save_for_backward(values, mask)
        own = torch.where(mask, values, 0)
        return own.sum((0, 2, 3)), own.square().sum((0, 2, 3))

    @staticmethod
    def backward(ctx: Any, of_sum: Tensor, of_squares: Tensor) -> tuple[Tensor, None]:
        """Return the gradient (B, C, T, F) of the values."""
        values, mask = ctx.saved_tensors
        gradient = of_sum[:, None, None] + 2 * of_squares[:, None, None] * values
        return torch.where(mask, gradient, 0), None


def masked_moments(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute mean and variance of each channel over the own frames of all clips, on all ranks.

    Args:
        values: (B, C, T, F), float32 or float64; padding may hold any finite number. Best near 0, on the scale of their
            deviation: the variance is a difference of squares.
        mask: (B, 1, T, 1) bool, True at the own frames.
    Returns:
        Mean (C,), variance (C,) of the population, and () how many values of a channel were counted.
    """
    count = mask.sum().to(values.dtype) * values.shape[3]
    sums = torch.cat([*_OwnSums.apply(values, mask), count[None]])  # both of one pass over memory
    total, squares, count = sum_over_ranks(sums).tensor_split([values.shape[1], -1])
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=0), count[0]


def masked_batch_norm(norm: nn.BatchNorm2d, activations: Tensor, mask: Tensor) -> Tensor:
    """Apply a batch normalisation whose training statistics ignore padding, and update its running ones.

    Args:
        norm: with affine parameters and running statistics; in evaluation mode it uses the running ones.
        activations: (B, C, T, F); padding may hold any finite number.
        mask: (B, 1, T, 1) bool, True at the own frames; the first frame of the first clip is one.
    Returns:
        (B, C, T, F) of the type of `activations`; undefined in the padding.
    """
    if not norm.training:
        return norm.forward(activations)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    wide = activations.to(torch.promote_types(activations.dtype, torch.float32))
    # A value that occurs; the running mean would be read again in a compiled backward pass, after it was updated.
    shift = sum_over_ranks(wide[0, :, 0, 0].detach()) / ranks()
    shifted = wide - shift[:, None, None]
    mean, variance, count = masked_moments(shifted, mask)
    with torch.no_grad():
        momentum = norm.momentum or 0.0
        norm.running_mean.lerp_(shift + mean, momentum)
        norm.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), momentum)
        norm.num_batches_tracked.add_(1)
    scale = norm.weight * (variance + norm.eps).rsqrt()
    offset = norm.bias - mean * scale
    return (shifted * scale[:, None, None] + offset[:, None, None]).to(activations.dtype)
