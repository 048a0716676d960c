"""Bring pictures to the size and the range of numbers that a network takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from utils.image_utils.decoding import Picture

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}  # Pillow's numbers
# Times the shortest side: a strip of 1 x 60 000 000 pixels, its shortest side brought to 224, would fill the memory.
_LONGEST = 8


class ImageInput(NamedTuple):
    """What a network takes of a picture: it is resized, its centre is cut out, its numbers are normalised."""

    height: int  # of the cut
    width: int
    resized: int | tuple[int, int]  # the shortest side, or height and width whatever the picture's shape
    resample: int  # Pillow's number of the filter
    scale: float  # pixel of 0 to 255 -> (pixel * scale - mean) / std
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def prepare(self, picture: Picture) -> Picture:
        """Resize a picture and cut out its centre.

        Args:
            picture: (H, W, 3) uint8.
        Returns:
            (height, width, 3) uint8.
        """
        if isinstance(self.resized, int):
            picture = _without_far_ends(picture)
        rows, columns = self._resized_size(*picture.shape[:2])
        top, left = (rows - self.height) // 2, (columns - self.width) // 2
        resized = Image.fromarray(picture).resize((columns, rows), Image.Resampling(self.resample))
        return np.asarray(resized.crop((left, top, left + self.width, top + self.height)))

    def _resized_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the resized picture before its centre is cut out."""
        if not isinstance(self.resized, int):
            return self.resized
        short, long = self.resized, int(self.resized * max(height, width) / min(height, width))
        return (long, short) if width <= height else (short, long)

    def describe(self) -> str:
        """Describe the input for the attributes of a file: size, filter, numbers."""
        sides = self.resized
        what = f"shortest side {sides}" if isinstance(sides, int) else f"resized to {sides[0]} x {sides[1]}"
        mean, std = (" ".join(f"{value:.6g}" for value in values) for values in (self.mean, self.std))
        return (
            f"{self.height} x {self.width} pixels of the centre, {what}, {_FILTERS[self.resample]}, "
            f"scale {self.scale:.6g}, mean {mean}, std {std}"
        )


def _without_far_ends(picture: Picture) -> Picture:
    """The middle of a strip, far more of it than the centre that is cut out later."""
    longest = _LONGEST * min(picture.shape[:2])
    top, left = (max(0, (size - longest) // 2) for size in picture.shape[:2])
    return picture[top : top + longest, left : left + longest]
