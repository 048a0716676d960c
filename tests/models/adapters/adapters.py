"""What the tests of adapters share: one of each kind, clips of several lengths, and padding full of rubbish."""

import pytest
import torch

from models.adapters import Adapter, AdapterSpec, TrainingClips
from utils.config_utils import parse

IN_DIM, HIDDEN, SCALE = 5, 6, 0.25
# More than one setting where the arithmetic of lengths differs.
SETTINGS = {
    "conv1d": {"name": "Conv1dAdapter", "hidden_dim": 16},
    "conv1d-long-kernel": {"name": "Conv1dAdapter", "hidden_dim": 16, "kernel_size": 6, "strides": [3, 1]},
    "mean": {"name": "MeanPoolingAdapter", "tokens": 4, "hidden_dim": 16},
    "mean-linear": {"name": "MeanPoolingAdapter", "tokens": 3, "hidden_dim": None},
    "adaptive": {"name": "AdaptiveSegmentsAdapter", "tokens": 4, "hidden_dim": 16},
    "concatenation": {"name": "ConcatenationAdapter", "frames_per_token": 3, "hidden_dim": 16},
    "perceiver": {"name": "PerceiverAdapter", "tokens": 3, "width": 16, "layer_count": 2, "heads": 2},
    "mean-ridge": {"name": "MeanPoolingAdapter", "tokens": 3, "hidden_dim": None, "ridge": 0.5},
    "least-squares": {"name": "LeastSquaresAdapter", "tokens": 2, "ridge": 0.5},
    "attention": {"name": "AttentionPoolingAdapter", "tokens": 3, "hidden_dim": 16},
}

every_adapter = pytest.mark.parametrize("key", SETTINGS)


def build(key: str, seed: int = 0, **keys: object) -> Adapter:
    torch.manual_seed(seed)
    spec: AdapterSpec = parse(SETTINGS[key] | keys, AdapterSpec, "adapter")
    adapter = spec.build(IN_DIM, HIDDEN, SCALE).eval()
    if adapter.fitted_on == "captions":
        adapter.fit([TrainingClips(*batch(clips([7] * 20, seed)), torch.randn(20, HIDDEN))])
    return adapter


def clips(lengths: list[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, IN_DIM, generator=generator) + 1 for length in lengths]


def batch(frames: list[torch.Tensor], filling: float = 0.0, extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded frames and their lengths; `extra` frames of padding after the longest clip."""
    lengths = torch.tensor([len(clip) for clip in frames])
    padded = torch.full((len(frames), int(lengths.max()) + extra, IN_DIM), filling)
    for row, clip in zip(padded, frames, strict=True):
        row[: len(clip)] = clip
    return padded, lengths
