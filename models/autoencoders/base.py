"""The autoencoder: vectors, waves or log-mels of any length -> the same shape, through a code; and its embedding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from models.autoencoders.bottleneck import StepBottleneck, WindowBottleneck
from models.autoencoders.layers import MirroredLayers
from models.autoencoders.level import Level
from models.pooling import inside
from models.standardisation import Standardisation
from utils.cli_utils import ConfigError
from utils.config_utils import Spec

Input = Literal["features", "wave", "logmel"]
# A unit is dead if the variance of its code is below this share of the largest unit's.
_DEAD = 1e-3


class Reconstructed(NamedTuple):
    """What an autoencoder makes of a batch of windows."""

    reconstruction: Tensor  # of the input's shape, float32, standardised; zeros in the padding
    target: Tensor  # the same of the input itself, without noise
    embedding: Tensor  # (B, E) float32
    code: Tensor  # (B, T', C) float32, zeros in the padding: all that the reconstruction is made from
    steps: Tensor  # (B,) int64, a window's own codes
    kl: Tensor  # (B,) float32, nats, of the codes of a window from the prior; zeros unless variational

    def own_codes(self) -> Tensor:
        """Select the codes that are not padding, (n, C)."""
        return self.code[inside(self.steps.cpu(), self.code.shape[1]).to(self.code.device)]


class Autoencoder(nn.Module):
    """Compresses windows to a code, and makes them again from it.

    Inputs are standardised, each feature or band by itself, with the statistics of the training split: errors of
    different inputs are then in one unit, and predicting the mean has an error of about 1. The level of a window may be
    taken off before. Padding is ignored, whatever it holds: a window's results are the same alone and in any batch.

    Args:
        kind: what the input is: features (B, D), waves (B, S), or log-mels (B, T, F).
        layers: encoder and decoder.
        bottleneck: the code between them.
        level: what is taken off windows first, and is not reconstructed; None: nothing.
        noise: standard deviation of Gaussian noise that training adds to the standardised input, not to the target.
        beta: weight of the divergence from the prior; 1 is the evidence lower bound of a decoder of unit variance.
    Source: Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders"; Higgins et al.
        2017, "beta-VAE".
    """

    def __init__(
        self,
        kind: Input,
        layers: MirroredLayers,
        bottleneck: StepBottleneck | WindowBottleneck,
        level: Level | None = None,
        noise: float = 0.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        self.kind, self.noise, self.beta = kind, noise, beta
        self.layers, self.bottleneck, self.level = layers, bottleneck, level
        self.standardisation = Standardisation(layers.width)

    @property
    def latent_dim(self) -> int:
        """C, numbers of a code."""
        return self.bottleneck.expand.in_features

    @property
    def embedding_dim(self) -> int:
        """E of the embedding of a window."""
        return self.bottleneck.embedding_dim

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Compute the statistics of the standardisation; they are in the state dict.

        Args:
            batches: inputs and lengths of the training windows, as of `forward`; iterated once.
        Raises:
            ValueError: there are none, or shapes that do not fit.
        """
        owned = ((x, self._own(x, lengths)) for x, lengths in batches)
        self.standardisation.fit(self._level_off(x, own)[own] for x, own in owned)

    def forward(self, x: Tensor, lengths: Tensor) -> Reconstructed:
        """Reconstruct windows.

        Args:
            x: (B, D) features, (B, S) waves or (B, T, F) log-mels; padding may hold anything.
            lengths: (B,) int64, samples or frames of each window, 1 to S or T; of features 1. Best on the CPU, since
                reading them from a GPU waits for it.
        Raises:
            ValueError: an input of another shape, or a length outside 1 to S or T.
        """
        own = self._own(x, lengths)
        target = frames = self._standardised(x, own)
        if self.training and self.noise:
            frames = (frames + self.noise * torch.randn_like(frames)).masked_fill(~own[:, :, None], 0)
        lengths = lengths.to(x.device, non_blocking=True)
        hidden = self.layers.encode(frames, lengths)
        hidden, code = self.bottleneck(hidden, self.layers.counts(lengths))
        decoded = self.layers.decode(hidden, lengths, frames.shape[1]).float().masked_fill(~own[:, :, None], 0)
        return Reconstructed(decoded.view(x.shape), target.view(x.shape), self.bottleneck.embed(code), *code)

    def losses(self, output: Reconstructed, lengths: Tensor) -> dict[str, Tensor]:
        """Compute the loss of a batch, per number of the input.

        Args:
            output: of the batch.
            lengths: (B,) of its windows, as of `forward`.
        Returns:
            0-dimensional: `mse` on the standardised input; of a variational autoencoder `kl`, nats a window; `loss` to
            minimise: mse + 2 beta * nats per number, which is twice the bound's negative, up to a constant.
        """
        error, count = self.reconstruction_error(output, lengths)
        mse = error / count
        if not self.bottleneck.code.variational:
            return {"loss": mse, "mse": mse.detach()}
        loss = mse + 2 * self.beta * output.kl.sum() / count
        return {"loss": loss, "mse": mse.detach(), "kl": output.kl.mean().detach()}

    def reconstruction_error(self, output: Reconstructed, lengths: Tensor) -> tuple[Tensor, int]:
        """Compute the sum of squared errors on the standardised input, inside the lengths, and the count of numbers.

        1 - this error / that of `mean_prediction_error`, both over a split, is the share of variance explained.
        """
        own = self._own(output.target, lengths)
        errors = self._frames(output.reconstruction - output.target)
        return errors.masked_fill(~own[:, :, None], 0).square().sum(), int(lengths.sum()) * self.layers.width

    def mean_prediction_error(self, output: Reconstructed, lengths: Tensor) -> tuple[Tensor, int]:
        """Compute the same of the prediction of the training split's mean, which is 0 for each feature or band."""
        return output.target.square().sum(), int(lengths.sum()) * self.layers.width

    def standardised(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Standardise an input: what `reconstruction` is compared with, of the input's shape, zeros in the padding."""
        return self._standardised(x, self._own(x, lengths)).view(x.shape)

    def restored(self, reconstruction: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
        """Undo the standardisation: a reconstruction in the units of its input `x`, with the input's level."""
        frames = self._frames(reconstruction) * self.standardisation.deviation + self.standardisation.mean
        if self.level is not None:
            frames = self.level.put_back(frames, self.level.of(self._frames(x), self._own(x, lengths)))
        return frames.view(reconstruction.shape)

    def _frames(self, x: Tensor) -> Tensor:
        """View an input as (B, T, W): features are one frame, waves are frames of one number."""
        axes = 3 if self.kind == "logmel" else 2
        if x.dim() != axes or (self.kind != "wave" and x.shape[-1] != self.layers.width):
            shape = {"features": "(B, {})", "wave": "(B, S)", "logmel": "(B, T, {})"}[self.kind]
            raise ValueError(f"the input is {tuple(x.shape)}, expected {shape.format(self.layers.width)}")
        if self.kind == "logmel":
            return x
        return x[:, None] if self.kind == "features" else x[:, :, None]

    def _own(self, x: Tensor, lengths: Tensor) -> Tensor:
        return inside(lengths.cpu(), self._frames(x).shape[1]).to(x.device, non_blocking=True)

    def _level_off(self, x: Tensor, own: Tensor) -> Tensor:
        frames = self._frames(x).float()
        return frames if self.level is None else self.level.take_off(frames, self.level.of(frames, own))

    def _standardised(self, x: Tensor, own: Tensor) -> Tensor:
        frames = self.standardisation(self._level_off(x, own))
        return frames.masked_fill(~own[:, :, None], 0)  # also NaN, which times 0 would stay


def dead_units(deviations: Tensor) -> Tensor:
    """Find the units of a code that say nothing: their variance is below a thousandth of the largest one's.

    Args:
        deviations: (C,) standard deviation of each unit over the codes of a split, `moments` of `own_codes`.
    Returns:
        (C,) bool.
    Source: Burda et al. 2016, "Importance weighted autoencoders", section 5, with the share in place of a fixed number,
        since only a variational code has a scale of its own.
    """
    variance = deviations.double().square()
    return variance <= _DEAD * variance.max()


class CommonAutoencoderSpec(Spec):
    """The keys that the `model:` blocks of all autoencoders share."""

    input: ClassVar[Input]

    latent_dim: int = Field(32, ge=1, le=65_536)  # C, numbers of a code
    variational: bool = False  # the code is a normal distribution; training draws from it, evaluation takes its mean
    beta: float = Field(0.1, ge=0, le=10_000)  # weight of the divergence from the prior, where variational
    noise: float = Field(0.0, ge=0, le=100)  # deviation of the noise that training adds to the standardised input
    dropout: float = Field(0.0, ge=0, lt=1)  # of the hidden layers

    @abstractmethod
    def build_layers(self, width: int) -> MirroredLayers:
        """Build encoder and decoder for frames of `width` numbers."""

    @abstractmethod
    def build_bottleneck(self, layers: MirroredLayers, max_length: int) -> StepBottleneck | WindowBottleneck:
        """Build the bottleneck; windows are at most `max_length` frames or samples."""

    def build_level(self) -> Level | None:
        """Build what takes the level off windows."""
        return None

    def build(self, width: int, max_length: int = 1) -> Autoencoder:
        """Build the autoencoder.

        Args:
            width: D of features, F of log-mels, 1 of waves.
            max_length: of a window, in frames or samples; of features 1.
        Raises:
            ConfigError: `latent_dim` is above the numbers that it is to compress.
        """
        layers = self.build_layers(width)
        bottleneck = self.build_bottleneck(layers, max_length)
        return Autoencoder(self.input, layers, bottleneck, self.build_level(), self.noise, self.beta)

    def _refuse_wider(self, numbers: int, of: str) -> None:
        if self.latent_dim > numbers:
            raise ConfigError(
                f"model.latent_dim: {self.latent_dim} is above the {numbers} numbers of {of}, so that nothing is "
                f"compressed; expected {numbers} or less"
            )
