"""Plots: a whole PNG or none, a line for each name."""

import numpy as np
import pytest
from PIL import Image

from utils.report_utils import Panel, plot_curves


def test_a_panel_for_each_set_of_lines(tmp_path):
    panels = [Panel("loss", {"train": [3, 2, 1]}), Panel("empty", {}), Panel("accuracy", {"a": [0, 1, 1]})]
    plot_curves(tmp_path / "two.png", "run", [1, 2, 3], panels, chosen=2)
    plot_curves(tmp_path / "one.png", "run", [1, 2, 3], panels[:1], chosen=2)
    two, one = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("two.png", "one.png"))
    assert two.shape[1] == 2 * one.shape[1]
    assert two.shape[0] == one.shape[0]
    assert len(np.unique(two.reshape(-1, 3), axis=0)) > 50  # something is drawn
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_the_chosen_epoch_is_marked(tmp_path):
    panel = [Panel("loss", {"train": [3.0, 2.0, 1.0]})]
    for chosen in (1, 3):
        plot_curves(tmp_path / f"{chosen}.png", "run", [1, 2, 3], panel, chosen)
    assert (tmp_path / "1.png").read_bytes() != (tmp_path / "3.png").read_bytes()


def test_a_plot_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="shape"):
        plot_curves(tmp_path / "x.png", "run", [1, 2], [Panel("loss", {"train": [1.0, 2.0, 3.0]})], chosen=1)
    assert list(tmp_path.iterdir()) == []
