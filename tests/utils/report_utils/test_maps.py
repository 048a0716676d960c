"""Maps: near embeddings are near on the map, each label has its colour, and a PNG is whole or absent."""

import numpy as np
import pytest
from PIL import Image

from utils.report_utils.maps import MapPanel, map_points, plot_maps


def groups(rng, count=12):
    """Three groups of embeddings, far from each other."""
    centres = 10 * np.eye(3, 8)
    return np.concatenate([centre + rng.standard_normal((count, 8)) for centre in centres]), np.repeat([0, 1, 2], count)


def test_a_track_lies_near_those_of_its_group():
    embeddings, label = groups(np.random.default_rng(0))
    points = map_points(embeddings)
    assert points.shape == (36, 2)
    assert np.isfinite(points).all()
    apart = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(36, np.inf))
    assert (label[apart.argmin(axis=1)] == label).all()
    assert np.array_equal(points, map_points(embeddings))


@pytest.mark.parametrize("shape", [(5, 3), (6, 1)])
def test_small_sets_have_a_map(shape):
    assert map_points(np.random.default_rng(0).standard_normal(shape)).shape == (shape[0], 2)


def test_too_few_tracks_have_none():
    with pytest.raises(ValueError, match="4 embeddings; expected at least 5"):
        map_points(np.zeros((4, 3)))


def colours(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int) @ [65_536, 256, 1]
    return set(np.unique(pixels).tolist())


def test_each_label_has_a_colour_of_its_own(tmp_path):
    points = np.random.default_rng(0).uniform(size=(60, 2)).astype(np.float32)
    plot_maps(tmp_path / "one.png", "a map", [MapPanel("a", points)], ["Rock"] * 60)
    plot_maps(tmp_path / "three.png", "a map", [MapPanel("a", points)], ["Rock", "Folk", ""] * 20)
    blue, orange, grey = 0x1F77B4, 0xFF7F0E, 0xBFBFBF  # the first two of tab10, and unknown
    assert blue in colours(tmp_path / "one.png")
    assert orange not in colours(tmp_path / "one.png")
    assert {blue, orange, grey} <= colours(tmp_path / "three.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "three.png"]


@pytest.mark.parametrize(
    "labels", [[""] * 8, [f"genre {n}" for n in range(8)], [f"g{n}" for n in range(40)], ["$\\no$", "$5"] * 4]
)
def test_any_number_of_labels(labels, tmp_path):
    points = np.random.default_rng(0).uniform(size=(len(labels), 2)).astype(np.float32)
    plot_maps(tmp_path / "map.png", "a map", [MapPanel("a", points), MapPanel("$\\no$", points)], labels)
    width, height = Image.open(tmp_path / "map.png").size
    assert 1.5 * height < width < 3 * height
