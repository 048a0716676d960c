"""Means over segments of a clip, by index arithmetic on the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor

from models.adapters.layers import weighted_sums


def equal_segments(lengths: Tensor, n_frames: int, n_segments: int) -> Tensor:
    """Divide each clip into min(n_segments, its frames) segments of equal lengths, up to one frame.

    Args:
        lengths: (B,) int64, frames of each clip.
        n_frames: T of the batch.
        n_segments: of a clip that has enough frames.
    Returns:
        (B, T) int64, the segment of each frame, from 0; any number in the padding.
    """
    positions = torch.arange(n_frames, device=lengths.device)
    return positions * lengths.clamp(max=n_segments)[:, None] // lengths[:, None]


def segment_means(frames: Tensor, segments: Tensor, own: Tensor, n_segments: int) -> Tensor:
    """Compute the mean of each segment.

    Args:
        frames: (B, T, D), finite in the padding.
        segments: (B, T) int64, from 0.
        own: (B, T) bool, False in the padding.
        n_segments: P.
    Returns:
        (B, P, D) float32, zeros where a clip has fewer segments.
    """
    numbers = torch.arange(n_segments, device=segments.device)
    members = (segments[:, None, :] == numbers[:, None]) & own[:, None, :]  # (B, P, T)
    return weighted_sums(members / members.sum(2, keepdim=True).clamp(min=1), frames)
