"""The bottleneck of an autoencoder: what the reconstruction is made from, and the embedding of a window."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.autoencoders.layers import mean_and_deviation, own_steps
from models.positions import sinusoids


class Code(NamedTuple):
    """What the decoder gets."""

    values: Tensor  # (B, T', C) float32, zeros in the padding; T' = 1 for one code a window
    steps: Tensor  # (B,) int64, a window's own codes
    kl: Tensor  # (B,) float32, in nats, summed over a window's codes; zeros unless variational


class GaussianCode(nn.Module):
    """A linear layer to the code: its mean alone, or also its variance, from which training draws a sample.

    Args:
        in_dim: H.
        latent_dim: C.
        variational: whether the code is a normal distribution of mean and variance by the layer.
    Source: Kingma and Welling 2014, "Auto-encoding variational Bayes", section 3 and appendix B.
    """

    def __init__(self, in_dim: int, latent_dim: int, variational: bool) -> None:
        super().__init__()
        self.variational = variational
        self.linear = nn.Linear(in_dim, 2 * latent_dim if variational else latent_dim)

    def forward(self, hidden: Tensor, counts: Tensor) -> Code:
        """Make codes of (B, T', H) for (B,) own steps each; the mean in evaluation, a sample in training."""
        own = own_steps(counts, hidden.shape[1])[:, :, None]
        values = self.linear(hidden).float().masked_fill(~own, 0)
        if not self.variational:
            return Code(values, counts, values.new_zeros(len(values)))
        # zeros in the padding are the prior itself: they add nothing to the divergence
        mean, log_variance = values.chunk(2, dim=2)
        log_variance = log_variance.clamp(-20, 20)  # exp of it stays finite in float32
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum((1, 2))
        if self.training:
            mean = mean + (log_variance / 2).exp() * torch.randn_like(mean)
            mean = mean.masked_fill(~own, 0)
        return Code(mean, counts, kl)


class StepBottleneck(nn.Module):
    """A code for each step; the embedding of a window is their mean and standard deviation.

    The reconstruction is made from the codes alone, and the embedding from the same codes without their order.

    Args:
        hidden_width: H of encoder and decoder.
        latent_dim: C.
        variational: see `GaussianCode`.
    """

    def __init__(self, hidden_width: int, latent_dim: int, variational: bool) -> None:
        super().__init__()
        self.code = GaussianCode(hidden_width, latent_dim, variational)
        self.expand = nn.Linear(latent_dim, hidden_width)
        self.embedding_dim = 2 * latent_dim

    def forward(self, hidden: Tensor, counts: Tensor) -> tuple[Tensor, Code]:
        """Make the code of (B, T', H) with (B,) own steps; returns (B, T', H) for the decoder, and the code."""
        code = self.code(hidden, counts)
        return self.expand(code.values), code

    def embed(self, code: Code) -> Tensor:
        """Compute (B, E) embeddings of windows."""
        return mean_and_deviation(code.values, code.steps)


class VectorBottleneck(StepBottleneck):
    """One code for an input of one step: it is the embedding."""

    def __init__(self, hidden_width: int, latent_dim: int, variational: bool) -> None:
        super().__init__(hidden_width, latent_dim, variational)
        self.embedding_dim = latent_dim

    def embed(self, code: Code) -> Tensor:
        """Return (B, E) codes."""
        return code.values[:, 0]


class WindowBottleneck(nn.Module):
    """One code for a whole window, from mean and standard deviation over its steps: it is the embedding.

    The decoder gets the code at every step, and where in the window the step lies.

    Args:
        hidden_width: H of encoder and decoder.
        latent_dim: C.
        variational: see `GaussianCode`.
    """

    POSITION_WIDTH = 32

    def __init__(self, hidden_width: int, latent_dim: int, variational: bool) -> None:
        super().__init__()
        self.code = GaussianCode(2 * hidden_width, latent_dim, variational)
        self.expand = nn.Linear(latent_dim, hidden_width)
        self.position = nn.Linear(self.POSITION_WIDTH, hidden_width, bias=False)
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(hidden_width, hidden_width))
        self.embedding_dim = latent_dim

    def forward(self, hidden: Tensor, counts: Tensor) -> tuple[Tensor, Code]:
        """Make the code of (B, T', H) with (B,) own steps; returns (B, T', H) for the decoder, and the code."""
        pooled = mean_and_deviation(hidden, counts)[:, None]  # (B, 1, 2H)
        code = self.code(pooled, torch.ones_like(counts))
        positions = self.position(sinusoids(hidden.shape[1], self.POSITION_WIDTH, hidden.device))
        return self.mix(self.expand(code.values) + positions), code

    def embed(self, code: Code) -> Tensor:
        """Return (B, E) codes."""
        return code.values[:, 0]
