"""The one HTML page builder: what the page of every system is made of.

    page = Page("What it heard", "demo, split 'evaluation'")
    page.section("Numbers", Table(["metric", "value"], [["R@1", 0.25]]), Note("higher is better"))
    page.section("Sounds", Grid([Player(root / clip.path, "a dog barks")]))
    page.write(run.folder / "heard.html")

A page is one file that opens from disk: styles, script and charts are in it, and nothing comes from a network. Sounds
and large images stay where they are; their links are relative to the folder that the page is written to, so that one
page can be written to several folders.

Every string that a block is given is text, and is escaped. Markup comes from blocks alone; `Html` lets markup through
that another program made (the SVG of a plotting library, say). A block is anything with `html(folder)`.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import numpy as np

from utils.artefact_utils import replacing


class Block(Protocol):
    """A part of a page."""

    def html(self, folder: Path) -> str:
        """Its markup, in a page that lies in `folder`."""
        ...


Content = Block | str  # a string is text
Cell = Content | float | None  # of a table; None: empty
_NUMBER = (int, float, np.integer, np.floating)
_UNBROKEN = 20  # letters of a cell that stay on one line


def relative_url(path: Path, folder: Path) -> str:
    """The percent-encoded link from a page in `folder` to a file, wherever it lies.

    Links are worked out from the paths as they are written, as a browser does: symbolic links are not followed.
    """
    relative = os.path.relpath(path.absolute(), folder.absolute())
    return quote(os.fsencode(Path(relative).as_posix()))


@dataclass(frozen=True)
class Html:
    """Markup that goes into the page as it stands: whoever makes it has escaped what is in it."""

    markup: str

    def html(self, folder: Path) -> str:
        """The markup."""
        return self.markup


@dataclass(frozen=True)
class Paragraph:
    """Text and inline blocks, one after the other."""

    parts: Sequence[Content]
    quiet: bool = False

    def html(self, folder: Path) -> str:
        """A paragraph."""
        kind = ' class="quiet"' if self.quiet else ""
        return f"<p{kind}>{_join(self.parts, folder)}</p>"


@dataclass(frozen=True)
class Note:
    """How something is to be read."""

    text: Content

    def html(self, folder: Path) -> str:
        """A paragraph set apart."""
        return f'<p class="note">{_html(self.text, folder)}</p>'


@dataclass(frozen=True)
class Number:
    """A cell of a table that shows a text and is sorted by a number: an interval, a percentage."""

    value: float
    shown: str

    def html(self, folder: Path) -> str:
        """The text."""
        return escape(self.shown)


@dataclass(frozen=True)
class Table:
    """A table that is sorted by a click on a header.

    Attributes:
        columns: the headers.
        rows: their cells; a fraction is shown with `decimals`, and sorted with all its digits.
        texts: as of `print_table`: so many columns are text, the others numbers, right-aligned.
        decimals: digits behind the point.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: int = 1
    decimals: int = 4

    def html(self, folder: Path) -> str:
        """A table that scrolls sideways where the screen is narrow."""
        kinds = ["" if n < self.texts else ' class="number"' for n in range(len(self.columns))]
        head = "".join(
            f'<th scope="col"{kind}><button type="button">{escape(name)}</button></th>'
            for kind, name in zip(kinds, self.columns, strict=True)
        )
        rows = "".join(
            f"<tr>{''.join(self._cell(c, kind, folder) for c, kind in zip(row, kinds, strict=True))}</tr>\n"
            for row in self.rows
        )
        return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>'

    def _cell(self, cell: Cell, kind: str, folder: Path) -> str:
        value = cell.value if isinstance(cell, Number) else cell
        key = f' data-value="{_sort_key(float(value))}"' if kind and isinstance(value, _NUMBER) else ""
        if isinstance(cell, str) and len(cell) <= _UNBROKEN and not kind:
            kind = ' class="short"'
        return f"<td{kind}{key}>{self._shown(cell, folder)}</td>"

    def _shown(self, cell: Cell, folder: Path) -> str:
        if cell is None:
            return ""
        if isinstance(cell, int | np.integer):
            return str(int(cell))
        return f"{cell:.{self.decimals}f}" if isinstance(cell, _NUMBER) else _html(cell, folder)


@dataclass(frozen=True)
class Figure:
    """A chart (`BarChart`), a `Picture` or an SVG as `Html`, with what it shows."""

    picture: Block
    caption: Content = ""

    def html(self, folder: Path) -> str:
        """A figure."""
        caption = f"<figcaption>{_html(self.caption, folder)}</figcaption>" if self.caption else ""
        return f"<figure>{self.picture.html(folder)}{caption}</figure>"


@dataclass(frozen=True)
class Picture:
    """A PNG within the page; for plots. Photographs stay files: `Thumbnail`."""

    png: bytes
    alt: str

    def html(self, folder: Path) -> str:
        """An image that holds its own bytes."""
        return f'<img alt="{escape(self.alt)}" src="data:image/png;base64,{base64.b64encode(self.png).decode()}">'


@dataclass(frozen=True)
class Thumbnail:
    """An image file, shown small; a click opens it."""

    path: Path
    alt: str
    width_px: int = 200

    def html(self, folder: Path) -> str:
        """A linked image, loaded when it comes near the screen."""
        if not self.path.is_file():
            return _gone(self.path)
        url = relative_url(self.path, folder)
        image = f'<img loading="lazy" src="{url}" alt="{escape(self.alt)}" width="{self.width_px}">'
        return f'<a class="thumbnail" href="{url}">{image}</a>'


@dataclass(frozen=True)
class Player:
    """A sound with a player, and what is to be read below it; a page may hold hundreds: none loads before it plays.

    Attributes:
        path: the file; one that is not there is named in place of a player.
        below: text and blocks, each on a line of its own.
        good: marked with a green edge: what was sought.
    """

    path: Path
    below: Sequence[Content] = ()
    good: bool = False

    def html(self, folder: Path) -> str:
        """A player above what belongs to it."""
        if self.path.is_file():
            name = escape(_readable(self.path.name))
            url = relative_url(self.path, folder)
            sound = f'<audio controls preload="none" src="{url}" aria-label="{name}"></audio>'
        else:
            sound = _gone(self.path)
        kind = "player good" if self.good else "player"
        below = "\n".join(f"<div>{_html(part, folder)}</div>" for part in self.below)
        return f'<div class="{kind}">{sound}{below}</div>'


@dataclass(frozen=True)
class Details:
    """A line that unfolds."""

    summary: str
    items: Sequence[Content]

    def html(self, folder: Path) -> str:
        """A list below a line; closed at first."""
        items = "".join(f"<li>{_html(item, folder)}</li>" for item in self.items)
        return f"<details><summary>{escape(self.summary)}</summary><ul>{items}</ul></details>"


@dataclass(frozen=True)
class Grid:
    """Blocks side by side, as many in a row as there is room for."""

    blocks: Sequence[Content]
    least_width_px: int = 240

    def html(self, folder: Path) -> str:
        """A grid of equal columns."""
        cells = "".join(f"<div>{_html(block, folder)}</div>" for block in self.blocks)
        return f'<div class="grid-of" style="--least:{self.least_width_px}px">{cells}</div>'


@dataclass(frozen=True)
class Card:
    """One example: a title, a quiet line below it, and blocks."""

    title: str
    line: str
    blocks: Sequence[Content]

    def html(self, folder: Path) -> str:
        """A framed part; far from the screen it costs no layout."""
        head = f'<h3>{escape(self.title)}</h3><p class="quiet">{escape(self.line)}</p>'
        return f'<article class="card">{head}{_join(self.blocks, folder)}</article>'


@dataclass
class Page:
    """Sections below a title, with a line of links to them."""

    title: str
    subtitle: str = ""
    sections: list[tuple[str, Sequence[Content]]] = field(default_factory=list)

    def section(self, title: str, *blocks: Content) -> None:
        """Add a section at the end."""
        self.sections.append((title, blocks))

    def html(self, folder: Path) -> str:
        """The whole page, as it is in `folder`."""
        ids = _ids([title for title, _ in self.sections])
        links = "".join(
            f'<li><a href="#{id_}">{escape(title)}</a></li>' for id_, (title, _) in zip(ids, self.sections, strict=True)
        )
        sections = "\n".join(
            f'<section id="{id_}"><h2>{escape(title)}</h2>\n{_join(blocks, folder)}</section>'
            for id_, (title, blocks) in zip(ids, self.sections, strict=True)
        )
        head = f'<h1>{escape(self.title)}</h1><p class="quiet">{escape(self.subtitle)}</p>'
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>\n{_asset('page.css')}</style></head>\n"
            f'<body><header>{head}</header>\n<nav aria-label="sections"><ul>{links}</ul></nav>\n'
            f"<main>\n{sections}\n</main>\n<script>\n{_asset('page.js')}</script></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page, complete or not at all; its links are right for the folder of `path`."""
        # a name may hold bytes that are not UTF-8
        with replacing(path) as beside, beside.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(self.html(path.parent))


def _html(content: Content, folder: Path) -> str:
    return escape(content) if isinstance(content, str) else content.html(folder)


def _join(contents: Sequence[Content], folder: Path) -> str:
    return "\n".join(_html(content, folder) for content in contents)


def _sort_key(value: float) -> str:
    """As JavaScript's parseFloat reads it; NaN is no number there either."""
    return repr(value).replace("inf", "Infinity")


def _gone(path: Path) -> str:
    return f'<span class="gone">no such file: {escape(_readable(str(path)))}</span>'


def _readable(name: str) -> str:
    """A file name in which bytes that are not UTF-8 are spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _ids(titles: Sequence[str]) -> list[str]:
    """A distinct id for each title: its number and its words."""
    return [f"{n}-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}" for n, title in enumerate(titles, 1)]


def _asset(name: str) -> str:
    """A file that lies beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
