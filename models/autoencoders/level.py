"""The level of a window: how loud a recording is says nothing about what is played, and is no part of its embedding."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Per = Literal["window", "frame"]
# Of digital silence; also the level below which samples are not amplified further: -120 dB of full scale.
_SILENCE = 1e-6


class Level:
    """Finds the level of windows, takes it off and puts it back.

    A gain multiplies samples, and adds the same to the log-mels of every frame and band. The level of samples is their
    root mean square, that of log-mels their mean: without it, a recording and a softer copy of it are the same input,
    as long as the copy is above the floor of the log-mels.

    Args:
        waves: whether frames hold samples; else log-mels.
        per: one level for a "window"; of log-mels also one for each "frame", without how loudness changes over time.
    """

    def __init__(self, *, waves: bool, per: Per = "window") -> None:
        self.waves, self.per = waves, per

    def of(self, frames: Tensor, own: Tensor) -> Tensor:
        """Compute the level.

        Args:
            frames: (B, T, W); padding may hold anything.
            own: (B, T) bool, False in the padding.
        Returns:
            (B, 1, 1) of windows, (B, T, 1) of frames, float32.
        """
        values = frames.float().masked_fill(~own[:, :, None], 0)
        if self.per == "frame":
            return values.mean(2, keepdim=True)
        numbers = own.sum(1)[:, None, None] * frames.shape[2]
        if self.waves:
            return (values.square().sum((1, 2), keepdim=True) / numbers).sqrt().clamp(min=_SILENCE)
        return values.sum((1, 2), keepdim=True) / numbers

    def take_off(self, frames: Tensor, level: Tensor) -> Tensor:
        """Take a level off (B, T, W) frames."""
        return frames / level if self.waves else frames - level

    def put_back(self, frames: Tensor, level: Tensor) -> Tensor:
        """Undo `take_off`."""
        return frames * level if self.waves else frames + level
