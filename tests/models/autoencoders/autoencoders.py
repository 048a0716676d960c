"""What the tests of autoencoders share: one of each kind, windows of several lengths, and padding full of rubbish."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.autoencoders import Autoencoder, AutoencoderSpec
from utils.config_utils import parse

WIDTH, LONGEST = 6, 64
SETTINGS = {
    "mlp": {"name": "MLPAutoencoder", "hidden_dims": [8]},
    "mlp-deep": {"name": "MLPAutoencoder", "hidden_dims": [8, 5]},
    "linear": {"name": "MLPAutoencoder", "hidden_dims": []},
    "wave": {"name": "WaveAutoencoder", "channels": 4, "strides": [4, 3], "remove_level": "none"},
    "wave-window": {"name": "WaveAutoencoder", "channels": 4, "strides": [4, 2], "code_per": "window"},
    "frame": {"name": "FrameAutoencoder", "channels": 8, "strides": [2, 3], "remove_level": "none"},
    "frame-window": {"name": "FrameAutoencoder", "channels": 8, "strides": [1, 2], "code_per": "window"},
    "spectrogram": {"name": "SpectrogramAutoencoder", "channels": 3, "strides": [2, 2], "remove_level": "frame"},
    "spectrogram-window": {"name": "SpectrogramAutoencoder", "channels": 3, "strides": [1, 3], "code_per": "window"},
}
LEVEL_KEPT = {key: {} if key in {"mlp", "mlp-deep", "linear"} else {"remove_level": "none"} for key in SETTINGS}

every_autoencoder = pytest.mark.parametrize("key", SETTINGS)
every_kind = pytest.mark.parametrize("variational", [False, True], ids=["plain", "variational"])


def build(key: str, seed: int = 0, **keys: object) -> Autoencoder:
    torch.manual_seed(seed)
    spec: AutoencoderSpec = parse({"latent_dim": 3} | SETTINGS[key] | keys, AutoencoderSpec, "model")
    return spec.build(1 if spec.input == "wave" else WIDTH, LONGEST).eval()


def windows(autoencoder: Autoencoder, lengths: Sequence[int], seed: int = 0) -> list[Tensor]:
    """Random windows as this autoencoder takes them; feature vectors have no length."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"features": lambda _: (WIDTH,), "wave": lambda n: (n,), "logmel": lambda n: (n, WIDTH)}
    return [torch.randn(shapes[autoencoder.kind](n), generator=generator) + 1 for n in lengths]


def batch(
    autoencoder: Autoencoder, inputs: Sequence[Tensor], filling: float = 0.0, extra: int = 0
) -> tuple[Tensor, Tensor]:
    """Padded windows and their lengths; `extra` samples or frames of padding after the longest."""
    if autoencoder.kind == "features":
        return torch.stack(list(inputs)), torch.ones(len(inputs), dtype=torch.int64)
    lengths = torch.tensor([len(window) for window in inputs])
    padded = torch.full((len(inputs), int(lengths.max()) + extra, *inputs[0].shape[1:]), filling)
    for row, window in zip(padded, inputs, strict=True):
        row[: len(window)] = window
    return padded, lengths


def learn(autoencoder: Autoencoder, x: Tensor, lengths: Tensor, lr: float, steps: int = 150) -> dict[str, Tensor]:
    """Train on one batch; the losses of the last step."""
    autoencoder.train()
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=lr)
    for _ in range(steps):
        losses = autoencoder.losses(autoencoder(x, lengths), lengths)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    return losses
