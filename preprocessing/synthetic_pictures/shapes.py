"""The shapes: their outlines in a square of side 2 around 0, and how far each may be turned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]  # (N, 2), x to the right and y down


@dataclass(frozen=True)
class Shape:
    """One shape.

    Attributes:
        outline: of the area that is filled.
        hole: of what is cut out of it; None: nothing.
        turn: it may be turned by as many degrees to either side; a square turned further would be a diamond.
        holds: another shape fits into it, at 0.4 of its size.
    """

    outline: Outline
    hole: Outline | None = None
    turn: float = 12.0
    holds: bool = False


def _regular(corners: int, radius: float = 1.0, start: float = -90.0) -> Outline:
    """The corners of a regular polygon; `start` in degrees, -90 is up."""
    angles = np.radians(start + 360 * np.arange(corners) / corners)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> Outline:
    corners = np.empty((10, 2))
    corners[::2], corners[1::2] = _regular(5), _regular(5, 0.42, -54.0)
    return corners


def _heart() -> Outline:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([np.sin(t) ** 3, -(y + 2.5) / 15], axis=1)


def _crescent() -> Outline:
    """A disc without another one of the same size, moved to the right."""
    outer = np.radians(np.linspace(60, 300, 60))
    inner = np.radians(np.linspace(120, 240, 40))
    back = np.stack([1.0 + np.cos(inner), np.sin(inner)], axis=1)[::-1]
    points = np.concatenate([np.stack([np.cos(outer), np.sin(outer)], axis=1), back])
    return points + np.array([0.25, 0.0])


def _cross(width: float = 0.34) -> Outline:
    arm = np.array([(-width, -width), (-width, -1.0), (width, -1.0)])  # the upper one, from its inner corner on
    return np.concatenate([arm @ np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))])


SHAPES: Mapping[str, Shape] = {
    "circle": Shape(_regular(72), holds=True),
    "square": Shape(_regular(4, 1.25, 45.0), holds=True),
    "triangle": Shape(_regular(3) * 1.1 + np.array([0.0, 0.2])),
    "star": Shape(_star() * 1.1),
    "heart": Shape(_heart()),
    "diamond": Shape(_regular(4) * np.array([0.72, 1.1]), turn=6.0),
    "cross": Shape(_cross()),
    "ring": Shape(_regular(72), hole=_regular(72, 0.62), holds=True),
    "crescent": Shape(_crescent(), turn=20.0),
    "hexagon": Shape(_regular(6), turn=30.0, holds=True),
}
