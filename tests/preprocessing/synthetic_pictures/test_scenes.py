from __future__ import annotations

import itertools

import numpy as np
import pytest

from preprocessing.synthetic_pictures.scenes import COLOURS, DIAMETERS, GROUNDS, draw_scene, withheld
from preprocessing.synthetic_pictures.shapes import SHAPES


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(np.random.default_rng(seed), training=False) for seed in range(600)]


def test_training_lacks_combinations_but_neither_shapes_nor_colours():
    training = [draw_scene(np.random.default_rng(seed), training=True) for seed in range(600)]
    looks = {(group.shape, group.colour) for scene in training for group in scene.groups}
    assert not any(withheld(*look) for look in looks)
    assert {shape for shape, _ in looks} == set(SHAPES)
    assert {colour for _, colour in looks} == set(COLOURS)


def test_held_out_pictures_show_what_training_never_does(scenes):
    new = [any(withheld(group.shape, group.colour) for group in scene.groups) for scene in scenes]
    assert 0.15 < np.mean(new) < 0.4


def test_no_shape_is_hard_to_see(scenes):
    for scene in scenes:
        assert not {group.colour for group in scene.groups} & set(GROUNDS[scene.ground][1])
        looks = [(group.shape, group.colour) for group in scene.groups]
        assert len(set(looks)) == len(looks)
        if scene.layout == "inside":
            assert scene.groups[0].colour != scene.groups[1].colour


def boxes(scene, group):
    """Left, top, right and bottom of each shape of a group, in pixels."""
    radius = group.diameter * min(scene.width, scene.height) / 2
    centres = np.array(group.centres) * [scene.width, scene.height]
    return np.concatenate([centres - radius, centres + radius], axis=1)


def test_shapes_lie_in_the_picture_and_apart(scenes):
    for scene in scenes:
        every = np.concatenate([boxes(scene, group) for group in scene.groups])
        assert every.min() > -2
        assert (every[:, 2] < scene.width + 2).all()
        assert (every[:, 3] < scene.height + 2).all()
        if scene.layout != "inside":
            for one, other in itertools.combinations(every, 2):
                apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
                assert apart > -2, scene


def test_relations_are_as_the_layout_says(scenes):
    axes = {"side_by_side": 0, "three_across": 0, "stacked": 1}
    for scene in scenes:
        if scene.layout in axes:
            axis = axes[scene.layout]
            for first, second in itertools.pairwise(scene.groups):
                assert max(c[axis] for c in first.centres) < min(c[axis] for c in second.centres)
        elif scene.layout == "inside":
            inner, outer = (boxes(scene, group)[0] for group in scene.groups)
            assert (inner[:2] > outer[:2]).all()
            assert (inner[2:] < outer[2:]).all()


def test_words_of_size_are_true(scenes):
    for scene in scenes:
        for number, group in enumerate(scene.groups):
            low, high = DIAMETERS[group.size]
            if (scene.layout, number) != ("inside", 0):  # small beside what holds it
                assert 0.85 * low < group.diameter <= high
    assert DIAMETERS["small"][1] < 0.85 * DIAMETERS["medium"][0]
    assert DIAMETERS["medium"][1] < 0.85 * DIAMETERS["large"][0]
