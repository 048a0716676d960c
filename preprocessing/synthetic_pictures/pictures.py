"""One picture: its scene in pixels and in words, from a seed, a split and an index alone."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from preprocessing.synthetic_pictures.captions import draw_captions
from preprocessing.synthetic_pictures.drawing import draw
from preprocessing.synthetic_pictures.scenes import Scene, draw_scene


@dataclass(frozen=True)
class Plan:
    """A picture before it is drawn; cheap.

    Attributes:
        scene: its groups of shapes, and its ground.
        captions: five.
        rng: as the plan has left it; `render` draws from it, once.
    """

    scene: Scene
    captions: tuple[str, ...]
    rng: np.random.Generator


def plan_picture(seed: int, split_number: int, index: int) -> Plan:
    """Draw the scene and the captions of a picture.

    Args:
        seed: of the corpus, 0 or more.
        split_number: 0 training, 1 validation, 2 evaluation; only training lacks the combinations that are withheld.
        index: of the picture in its split; other pictures have no influence on it.
    """
    rng = np.random.default_rng([seed, split_number, index])
    scene = draw_scene(rng, training=split_number == 0)
    return Plan(scene, draw_captions(rng, scene), rng)


def render(plan: Plan) -> bytes:
    """The picture of a plan. Returns: a JPEG file."""
    image = draw(plan.rng, plan.scene)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(plan.rng.integers(80, 96)))
    return file.getvalue()
