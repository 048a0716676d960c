"""A scene in pixels: a textured ground, faint clutter, and shaded shapes with smooth edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from preprocessing.synthetic_pictures.scenes import COLOURS, GROUNDS, Group, Scene
from preprocessing.synthetic_pictures.shapes import SHAPES, Outline

Pixels = NDArray[np.float32]  # (H, W, 3), 0 to 255
_OVERSAMPLING = 4  # of the outlines: edges become smooth when they are scaled down


def draw(rng: np.random.Generator, scene: Scene) -> Image.Image:
    """Draw a scene. Returns: an RGB picture of the scene's size."""
    canvas = _ground(rng, scene)
    _add_clutter(rng, canvas)
    # The group that holds another comes last in a scene, and has to be drawn first.
    for group in reversed(scene.groups):
        for centre in group.centres:
            _add_shape(rng, canvas, group, centre)
    y, x = np.mgrid[-1 : 1 : canvas.shape[0] * 1j, -1 : 1 : canvas.shape[1] * 1j].astype(np.float32)
    light = 1 + rng.uniform(0.0, 0.12) * (np.cos(angle := rng.uniform(0, 2 * np.pi)) * x + np.sin(angle) * y)
    noise = rng.normal(0, rng.uniform(2, 7), canvas.shape)
    image = Image.fromarray(np.clip(canvas * light[:, :, None] + noise, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.9))) if rng.uniform() < 0.25 else image


def _ground(rng: np.random.Generator, scene: Scene) -> Pixels:
    """The ground in its colour, mottled, with its pattern."""
    height, width = scene.height, scene.width
    colour = np.array(GROUNDS[scene.ground][0], np.float32) + rng.uniform(-8, 8, 3).astype(np.float32)
    coarse = Image.fromarray(rng.uniform(-10, 10, (6, 6)).astype(np.float32))
    depth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).copy()
    y, x = np.mgrid[:height, :width].astype(np.float32)
    period, strength = rng.uniform(14, 26), rng.uniform(9, 14)
    angle = rng.uniform(0, np.pi)
    if scene.pattern == "striped":
        depth += strength * np.sign(np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period))
    elif scene.pattern == "checked":
        depth += strength * np.sign(np.sin(np.pi * x / period) * np.sin(np.pi * y / period))
    elif scene.pattern == "speckled":
        depth += 2.4 * strength * (rng.uniform(size=(height, width)) < 0.06) * rng.choice([-1, 1], (height, width))
    return (colour + depth[:, :, None]).astype(np.float32)


def _add_clutter(rng: np.random.Generator, canvas: Pixels) -> None:
    """Faint scratches, too thin and too pale to be taken for a shape."""
    height, width = canvas.shape[:2]
    layer = Image.new("L", (width, height))
    pen = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(0, 7))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dx, dy = rng.uniform(-0.3, 0.3, 2) * min(width, height)
        pen.line((x, y, x + dx, y + dy), fill=int(rng.integers(30, 90)), width=1)
    alpha = np.asarray(layer, np.float32)[:, :, None] / 255
    canvas += alpha * rng.choice([-110.0, 110.0])


def _add_shape(rng: np.random.Generator, canvas: Pixels, group: Group, centre: tuple[float, float]) -> None:
    """Paint one shape of a group, slightly turned, shaded and tinted."""
    height, width = canvas.shape[:2]
    shape = SHAPES[group.shape]
    radius = group.diameter * min(height, width) / 2
    angle = np.radians(rng.uniform(-shape.turn, shape.turn))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    position = np.array([centre[0] * width, centre[1] * height])
    area = _cover(shape.outline @ turn * radius + position, (width, height))
    if shape.hole is not None:
        area = area - np.minimum(area, _cover(shape.hole @ turn * radius + position, (width, height)))
    colour = np.array(COLOURS[group.colour], np.float32) + rng.uniform(-10, 10, 3).astype(np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.14)
    shade = 1 + strength * ((x - position[0]) * np.cos(slope) + (y - position[1]) * np.sin(slope)) / radius
    canvas += area[:, :, None] * (colour * np.clip(shade, 0.7, 1.3)[:, :, None] - canvas)


def _cover(corners: Outline, size: tuple[int, int]) -> NDArray[np.float32]:
    """Which share of each pixel an outline covers: (H, W)."""
    fine = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING))
    ImageDraw.Draw(fine).polygon([(float(x), float(y)) for x, y in corners * _OVERSAMPLING], fill=255)
    return np.asarray(fine.reduce(_OVERSAMPLING), np.float32) / np.float32(255)
