"""Pictures of reconstructions: input and output of any shape, with any title."""

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from utils.report_utils.reconstructions import Reconstruction, plot_reconstructions


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    found = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *a, **k: (found.append(self), save(self, *a, **k))
    )
    return found


def test_input_and_output_are_in_one_scale_and_every_axis_is_named(figures, tmp_path):
    line = np.array([0.0, 4.0, -2.0], np.float32)
    image = np.arange(12, dtype=np.float32).reshape(4, 3)
    windows = [Reconstruction("a line", line, line / 2), Reconstruction("an image", image, 2 * image)]
    plot_reconstructions(tmp_path / "a.png", "title", windows, "frame", "mel band")
    assert Image.open(tmp_path / "a.png").size[0] == 1100
    axes = np.array(figures[0].axes).reshape(2, 2)
    assert axes[0, 0].get_ylim() == axes[0, 1].get_ylim()
    assert [place.images[0].get_clim() for place in axes[1]] == [(0, 11), (0, 11)]
    assert [place.get_ylabel() for place in axes[:, 0]] == ["mel band"] * 2
    assert [place.get_xlabel() for place in axes[1]] == ["frame"] * 2
    assert axes[1, 0].get_title(loc="left") == "an image"
    assert axes[0, 1].get_title(loc="left") == "output"


def test_titles_with_dollars_and_long_ones_are_shown_as_they_are(figures, tmp_path):
    titles = [r"Ca$h $\no$ formula", "Wörter " * 50, "a\nb", "x" * 99]
    windows = [Reconstruction(title, np.zeros(3, np.float32), np.ones(3, np.float32)) for title in titles]
    plot_reconstructions(tmp_path / "a.png", r"'$\no$'", windows, "sample", "amplitude")
    shown = [place.get_title(loc="left") for place in figures[0].axes[::2]]
    assert shown[0] == titles[0]
    assert shown[1:] == [f"{('Wörter ' * 9)[:57]}...", "a b", f"{'x' * 57}..."]
    place = figures[0].axes[2]
    (title,) = place.findobj(lambda artist: isinstance(artist, Text) and artist.get_text() == shown[1])
    assert title.get_window_extent().width < place.get_window_extent().width
