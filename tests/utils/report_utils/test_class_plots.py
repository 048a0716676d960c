"""Pictures of classification: a whole PNG or none, of any number of classes, with names of any length."""

import numpy as np
import pytest
from PIL import Image

from utils.metric_utils.classification.abstention import abstention_curve
from utils.metric_utils.classification.calibration import reliability
from utils.report_utils import plot_abstention, plot_confusion, plot_reliability
from utils.report_utils.class_plots import shortened

CONFIDENCE, RIGHT = np.linspace(0.2, 1, 40), np.arange(40) % 3 > 0


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize("labels", [2, 31, 120])
def test_a_confusion_matrix_of_any_size(labels, tmp_path):
    counts = np.diag(np.arange(labels))  # the first row is empty
    plot_confusion(tmp_path / "a.png", "title", [f"label {n}" for n in range(labels)], counts)
    plot_confusion(tmp_path / "b.png", "title", [f"label {n}" for n in range(labels)], counts[::-1])
    assert (pixels(tmp_path / "a.png") != pixels(tmp_path / "b.png")).any()
    assert max(pixels(tmp_path / "a.png").shape) < 2600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_a_confusion_matrix_has_numbers_if_they_are_readable(tmp_path):
    for labels, shown in ((5, True), (50, True), (51, False)):
        once, twice = np.eye(labels, dtype=np.int64), 2 * np.eye(labels, dtype=np.int64)  # the same shares
        for name, counts in (("once", once), ("twice", twice)):
            plot_confusion(tmp_path / f"{name}.png", "t", [str(n) for n in range(labels)], counts)
        assert (pixels(tmp_path / "once.png") != pixels(tmp_path / "twice.png")).any() == shown


def test_long_names_take_nothing_from_the_cells(tmp_path):
    counts = np.diag([5, 3])
    plot_confusion(tmp_path / "short.png", "t", ["a", "b"], counts)
    plot_confusion(tmp_path / "long.png", "t", [f"{'a long name of a class ' * 4}{n}" for n in "ab"], counts)
    dark = [(pixels(tmp_path / f"{name}.png") == [8, 48, 107]).all(axis=2).sum() for name in ("short", "long")]
    assert dark[1] > 0.9 * dark[0]  # the darkest blue: the cells of the diagonal


def test_a_long_name_has_its_beginning_and_its_end():
    assert shortened("dog") == "dog"
    assert shortened("two\nlines ") == "two lines"
    found = shortened("Playing the violin, in a hall, first take, 1999")
    assert len(found) <= 32
    assert found.startswith("Playing the")
    assert found.endswith("take, 1999")


def test_names_hold_no_formulas(tmp_path):
    names = ["$\\badly{$ $", "雨"]
    plot_confusion(tmp_path / "confusion.png", "t $x", names, np.eye(2, dtype=int))
    plot_abstention(tmp_path / "abstention.png", "$\\badly{$", {names[0]: abstention_curve(CONFIDENCE, RIGHT)})
    plot_reliability(tmp_path / "reliability.png", "$\\badly{$", {names[0]: reliability(CONFIDENCE, RIGHT)})
    assert len(list(tmp_path.iterdir())) == 3


def test_reliability_has_a_panel_for_each_table(tmp_path):
    table, other = reliability(CONFIDENCE, RIGHT), reliability(CONFIDENCE**2, RIGHT)
    plot_reliability(tmp_path / "one.png", "t", {"before": table})
    plot_reliability(tmp_path / "two.png", "t", {"before": table, "after": other})
    one, two = (pixels(tmp_path / name).shape for name in ("one.png", "two.png"))
    assert two == (one[0], 2 * one[1], 3)


def test_abstention_has_a_line_for_each_curve_also_of_one_point(tmp_path):
    curves = {"a": abstention_curve(CONFIDENCE, RIGHT), "constant": abstention_curve(np.ones(40), RIGHT)}
    plot_abstention(tmp_path / "two.png", "t", curves)
    plot_abstention(tmp_path / "one.png", "t", {"a": curves["a"]})
    assert (pixels(tmp_path / "two.png") != pixels(tmp_path / "one.png")).any()
