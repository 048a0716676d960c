from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from preprocessing.synthetic_pictures.drawing import draw
from preprocessing.synthetic_pictures.pictures import plan_picture, render
from preprocessing.synthetic_pictures.scenes import COLOURS, Group, Scene
from preprocessing.synthetic_pictures.shapes import SHAPES


def scene(*groups):
    return Scene("side_by_side", groups, None, 160, 128, "grey", "plain")


@pytest.mark.parametrize("colour", COLOURS)
def test_a_shape_has_its_colour(colour):
    picture = np.asarray(draw(np.random.default_rng(1), scene(Group("circle", colour, "large", 0.4, ((0.5, 0.5),)))))
    middle = picture[56:72, 72:88].reshape(-1, 3).mean(axis=0)
    distances = {name: np.abs(middle - rgb).sum() for name, rgb in COLOURS.items()}
    assert min(distances, key=distances.get) == colour


def areas(shape):
    """The share of its diameter's square that a red shape covers, and whether its centre is covered."""
    picture = np.asarray(draw(np.random.default_rng(0), scene(Group(shape, "red", "large", 0.5, ((0.5, 0.5),)))), int)
    red = (picture[:, :, 0] - picture[:, :, 1]) > 60
    return red.sum() / 64**2, red[62:66, 78:82].all()


def test_areas_are_those_of_the_shapes():
    assert areas("circle")[0] == pytest.approx(np.pi / 4, rel=0.04)
    assert areas("ring")[0] == pytest.approx(np.pi / 4 * (1 - 0.62**2), rel=0.06)
    assert areas("cross")[0] == pytest.approx((4 - 4 * 0.66**2) / 4, rel=0.06)
    assert areas("hexagon")[0] == pytest.approx(1.5 * 3**0.5 / 4, rel=0.04)


def test_only_a_ring_and_a_crescent_are_not_covered_in_the_middle():
    assert {shape for shape in SHAPES if not areas(shape)[1]} - {"crescent"} == {"ring"}


def test_the_inner_shape_lies_on_the_one_that_holds_it():
    inner = Group("circle", "white", "small", 0.15, ((0.5, 0.5),))
    outer = Group("square", "blue", "large", 0.4, ((0.5, 0.5),))
    picture = np.asarray(draw(np.random.default_rng(0), scene(inner, outer)), int)
    assert picture[64, 80].min() > 200
    assert picture[64, 64, 2] - picture[64, 64, 0] > 80


def test_a_picture_follows_from_seed_split_and_index_alone():
    assert render(plan_picture(0, 1, 5)) == render(plan_picture(0, 1, 5))
    others = [plan_picture(*key) for key in ((0, 1, 6), (0, 2, 5), (1, 1, 5))]
    assert len({render(plan) for plan in [*others, plan_picture(0, 1, 5)]}) == 4


def test_pictures_are_jpegs_of_the_scenes_size():
    plan = plan_picture(0, 0, 3)
    with Image.open(io.BytesIO(render(plan))) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (plan.scene.width, plan.scene.height))
