"""The README's table of `make demo` holds the numbers of docs/results.md."""

import re

from tests import tiny
from tests.docs.tables import page

METRICS = ("R@1", "R@5", "R@10", "mAP@10")


def row_of(text, label):
    """The numbers of the first row of a Markdown table that begins so."""
    (cells,) = re.findall(rf"^\| {re.escape(label)} \|(.*)\|$", text, flags=re.M)[:1]
    return [float(cell) for cell in cells.split("|")]


def test_the_table_of_the_readme():
    readme = (tiny.ROOT / "README.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"│ (\S+) +│ (0\.\d+) │", readme))
    chance = dict(re.findall(r"│ (\S+) +│ 0\.\d+ │[^│]+│ (0\.\d+) │", readme))
    assert shown.keys() == chance.keys() == set(METRICS)
    text = page("results.md").split("## The embedded corpus: `make demo`")[1]
    assert [round(float(shown[key]), 3) for key in METRICS] == row_of(text, "`make demo`")[:4]
    assert [round(float(chance[key]), 3) for key in METRICS] == row_of(text, "chance")[:4]
