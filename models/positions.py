"""Sinusoidal positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoids(n_frames: int, width: int, device: torch.device) -> Tensor:
    """Compute the positions of frames, (T, W): sines in the first half, cosines in the second; for any length.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.5.
    """
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    angles = torch.arange(n_frames, device=device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
