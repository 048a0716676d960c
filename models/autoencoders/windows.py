"""Autoencoders of windows of sound, by convolutions over samples, over frames, or over frames and bands."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.autoencoders.base import CommonAutoencoderSpec, Input
from models.autoencoders.bottleneck import StepBottleneck, WindowBottleneck
from models.autoencoders.convolution import ConvolutionLayers
from models.autoencoders.layers import MirroredLayers
from models.autoencoders.level import Level

Stride = Annotated[int, Field(ge=1, le=64)]
Strides = Annotated[tuple[Stride, ...], Field(min_length=1, max_length=16)]


class WindowAutoencoderSpec(CommonAutoencoderSpec):
    """The keys that the `model:` blocks of autoencoders over time share."""

    # step: a code for each step, and the embedding is their mean and deviation; window: one code, the embedding itself
    code_per: Literal["step", "window"] = "step"

    def build_bottleneck(self, layers: MirroredLayers, max_length: int) -> StepBottleneck | WindowBottleneck:
        """Build the bottleneck."""
        if self.code_per == "step":
            frames = layers.frames_per_step
            self._refuse_wider(frames * layers.width, f"a step ({frames} x {layers.width})")
            return StepBottleneck(layers.hidden_width, self.latent_dim, self.variational)
        self._refuse_wider(max_length * layers.width, f"a window ({max_length} x {layers.width})")
        return WindowBottleneck(layers.hidden_width, self.latent_dim, self.variational)


class WaveAutoencoderSpec(WindowAutoencoderSpec):
    """The `model:` block of strided convolutions over the samples of waveforms."""

    input: ClassVar[Input] = "wave"

    name: Literal["WaveAutoencoder"]
    remove_level: Literal["none", "window"] = "window"  # samples are divided by the window's root mean square
    sample_rate_hz: int = Field(16_000, ge=1000, le=384_000)  # recordings are resampled to it
    channels: int = Field(16, ge=1, le=4096)  # of the first layer; each layer after it has twice as many
    strides: Strides = (8, 8, 4, 4)  # of each layer: a step of the code for each of their product of samples

    def build_layers(self, width: int) -> ConvolutionLayers:
        """Build the convolutions."""
        return ConvolutionLayers(width, doubling(self.channels, self.strides), self.strides, dropout=self.dropout)

    def build_level(self) -> Level | None:
        """Build what divides samples by the level of their window."""
        return None if self.remove_level == "none" else Level(waves=True)


class LogMelAutoencoderSpec(WindowAutoencoderSpec):
    """The keys that the `model:` blocks of autoencoders of log-mels share."""

    input: ClassVar[Input] = "logmel"

    # the mean over bands and frames of a window, or over the bands of each frame, is subtracted first
    remove_level: Literal["none", "window", "frame"] = "window"

    def build_level(self) -> Level | None:
        """Build what subtracts the level."""
        return None if self.remove_level == "none" else Level(waves=False, per=self.remove_level)


class FrameAutoencoderSpec(LogMelAutoencoderSpec):
    """The `model:` block of strided convolutions over the frames of log-mels, whose bands are the channels."""

    name: Literal["FrameAutoencoder"]
    channels: int = Field(128, ge=1, le=65_536)  # of each layer
    strides: Strides = (2, 2)  # of each layer: a step of the code for each of their product of frames

    def build_layers(self, width: int) -> ConvolutionLayers:
        """Build the convolutions."""
        return ConvolutionLayers(width, [self.channels] * len(self.strides), self.strides, dropout=self.dropout)


class SpectrogramAutoencoderSpec(LogMelAutoencoderSpec):
    """The `model:` block of strided convolutions over frames and bands of log-mels."""

    name: Literal["SpectrogramAutoencoder"]
    channels: int = Field(16, ge=1, le=4096)  # of the first layer; each layer after it has twice as many
    strides: Strides = (2, 2, 2)  # of each layer, along frames and along bands

    def build_layers(self, width: int) -> ConvolutionLayers:
        """Build the convolutions."""
        channels = doubling(self.channels, self.strides)
        return ConvolutionLayers(width, channels, self.strides, over_bands=True, dropout=self.dropout)


def doubling(channels: int, strides: tuple[int, ...]) -> list[int]:
    """Double the channels from layer to layer."""
    return [channels * 2**layer for layer in range(len(strides))]
