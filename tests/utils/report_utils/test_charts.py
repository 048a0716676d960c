"""Bar charts: the heights are the numbers."""

from itertools import pairwise
from pathlib import Path

import pytest

from tests.pages import parsed
from utils.report_utils import BarChart
from utils.report_utils.charts import nice_ticks


def drawn(chart: BarChart):
    return parsed(chart.html(Path())).one("svg")


def numbers(nodes, name):
    return [float(node.attributes[name]) for node in nodes]


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (0, [0, 1]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.43, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (0.03, [0, 0.01, 0.02, 0.03]),
        (418, [0, 100, 200, 300, 400, 500]),
        (500, [0, 100, 200, 300, 400, 500]),
        (11, [0, 5, 10, 15]),
        (3, [0, 1, 2, 3]),
        (1e6, [0, 2e5, 4e5, 6e5, 8e5, 1e6]),
    ],
)
def test_ticks_are_round_and_reach_the_top(top, ticks):
    assert nice_ticks(top) == pytest.approx(ticks)


def test_heights_are_in_proportion():
    svg = drawn(BarChart(["a", "b"], {"one": [10, 5], "two": [0, 2.5]}, "t", marks={"chance": [7.5, 10]}))
    bars = [node for node in svg.all("rect") if node.all("title")]  # the others are the legend's
    heights = numbers(bars, "height")
    assert heights == pytest.approx([180, 0, 90, 45])
    assert [y + height for y, height in zip(numbers(bars, "y"), heights, strict=True)] == pytest.approx([192] * 4)
    marks = [node for node in svg.all("line", "mark") if node.all("title")]
    assert numbers(marks, "y1") == pytest.approx([192 - 135, 12])
    tips = [node.text for node in svg.all("title")]
    assert tips == ["a: one 10", "a: two 0", "a: chance 7.5", "b: one 5", "b: two 2.5", "b: chance 10"]


def test_bars_do_not_overlap_and_stay_within():
    svg = drawn(BarChart(["a long label", "b", "c"], {name: [1, 2, 3] for name in "wxyz"}, "t"))
    bars = [node for node in svg.all("rect") if node.all("title")]
    edges = [(x, x + width) for x, width in zip(numbers(bars, "x"), numbers(bars, "width"), strict=True)]
    assert all(one[1] < other[0] for one, other in pairwise(edges))
    assert edges[-1][1] <= float(svg.attributes["viewbox"].split()[2])
    assert len({node.attributes["class"] for node in bars}) == 4


def test_axes_and_legend_are_named():
    one = drawn(BarChart(["a"], {"queries": [3]}, "ranks", "rank", "count"))
    assert one.attributes["aria-label"] == "ranks"
    texts = [node.text for node in one.all("text")]
    assert texts == ["0", "1", "2", "3", "rank", "count", "a"]  # one series needs no legend
    two = drawn(BarChart(["a"], {"queries": [3]}, "ranks", marks={"chance": [1]}))
    assert [node.text for node in two.all("text")][-2:] == ["queries", "chance"]


@pytest.mark.parametrize(
    ("labels", "series", "marks", "message"),
    [
        ([], {"a": []}, None, "0 labels and 1 series; expected at least one label and 1 to 4 series"),
        (["a"], {}, None, "1 labels and 0 series"),
        (["a"], {name: [1] for name in "abcde"}, None, "1 labels and 5 series"),
        (["a"], {"x": [1, 2]}, None, "'x' has 2 values; expected one for each of 1"),
        (["a"], {"x": [1]}, {"chance": []}, "'chance' has 0 values; expected one for each of 1"),
        (["a"], {"x": [-1]}, None, "'x' holds -1; expected finite values >= 0"),
        (["a"], {"x": [float("nan")]}, None, "'x' holds nan; expected finite"),
        (["a"], {"x": [1]}, {"m": [float("inf")]}, "'m' holds inf; expected finite"),
    ],
)
def test_what_no_bar_can_show_is_refused(labels, series, marks, message):
    with pytest.raises(ValueError, match=message):
        BarChart(labels, series, "t", marks=marks)
