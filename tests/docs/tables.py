"""Tables of the pages in docs/, by heading."""

import re
from typing import NamedTuple

from tests import tiny


class Section(NamedTuple):
    """What stands under one `##` heading."""

    title: str
    text: str
    rows: list[list[str]]  # cells of its tables, without their heads


def page(name: str) -> str:
    return (tiny.ROOT / "docs" / name).read_text(encoding="utf-8")


def sections(text: str) -> list[Section]:
    """The part before the first `##`, with an empty title, and every part after one."""
    titles = re.split(r"^## (.*)$", text, flags=re.M)
    pairs = zip(["", *titles[1::2]], [titles[0], *titles[2::2]], strict=True)
    return [Section(title, body, _rows(body)) for title, body in pairs]


def anchor(title: str) -> str:
    """The link target that a heading gets."""
    return "#" + re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def _rows(text: str) -> list[list[str]]:
    table = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    heads = {n - 1 for n, row in enumerate(table) if set("".join(row)) <= set("-:")}
    return [row for n, row in enumerate(table) if n not in heads and n - 1 not in heads]
