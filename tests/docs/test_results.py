"""The README's tables of `make demo` and `make demo-clap` hold the numbers of docs/results.md."""

import re

import pytest

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


@pytest.mark.parametrize(
    ("label", "section", "choice"),
    [
        ("`make demo`", "## The embedded corpus: `make demo`", r"`conf.yaml`, mAP@10 (0\.\d+)\)"),
        (
            "`make demo-clap`",
            "## CLAP projection on the embedded corpus: `make demo-clap`",
            r"`tasks/clap_projection.yaml`,\s+(0\.\d+)\)",
        ),
    ],
)
def test_the_two_ways_of_the_first_screen(label, section, choice):
    readme = (tiny.ROOT / "README.md").read_text(encoding="utf-8")
    table = page("results.md").split(section)[1].split("\n## ")[0]
    (header, *_) = re.findall(r"^\| \|(.*)\|$", table, flags=re.M)
    for row in (label, "chance"):
        numbers = dict(zip([name.strip() for name in header.split("|")], row_of(table, row), strict=True))
        (shown,) = re.findall(rf"^\| {re.escape(row)}[^|]*\| (\S+) \| (\S+) \| (\S+) \|", readme, flags=re.M)
        assert [float(number) for number in shown] == [numbers[name] for name in ("mAP@10", "R@1", "R@10")]
    (measured,) = re.findall(choice, readme)
    assert float(measured) == row_of(table, label)[[name.strip() for name in header.split("|")].index("mAP@10")]
