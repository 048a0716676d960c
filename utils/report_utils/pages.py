"""HTML pages of results, built from blocks; every system uses these.

    page = Page("What it heard", "demo, split 'evaluation'")
    page.section("Numbers", Table(["metric", "value"], [["R@1", 0.25]]), Note("higher is better"))
    page.section("Sounds", Grid([Player(root / clip.path, "a dog barks")]))
    page.write(run.folder / "heard.html")

A page is one file that opens from disk: it contains its styles, script and charts, and loads nothing from a network.
Sounds and images are linked, not copied; links are relative to the folder that the page is written to, so that one page
can be written to several folders.

Every string is text, and is escaped; only blocks write markup. A block is anything with a method `html(folder)`.
"""

from __future__ import annotations

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
    """An element of a page."""

    def html(self, folder: Path) -> str:
        """Return the markup, for a page in `folder`."""
        ...


Content = Block | str  # a string is text
Cell = Content | float | None  # of a table; None: empty
_NUMBER = (int, float, np.integer, np.floating)
_UNBROKEN = 20  # cells of at most so many letters are not wrapped


def relative_url(path: Path, folder: Path) -> str:
    """Return the percent-encoded relative link from a page in `folder` to any file.

    Symbolic links are not resolved, since a browser does not resolve them either: it removes `..` from the text of a
    link.
    """
    relative = os.path.relpath(path.absolute(), folder.absolute())
    return quote(os.fsencode(Path(relative).as_posix()))


@dataclass(frozen=True)
class Paragraph:
    """Text and inline blocks, one after the other; `quiet`: in a fainter colour."""

    contents: Sequence[Content]
    quiet: bool = False

    def html(self, folder: Path) -> str:
        """Return the paragraph."""
        kind = ' class="quiet"' if self.quiet else ""
        return f"<p{kind}>{_join(self.contents, folder)}</p>"


@dataclass(frozen=True)
class Note:
    """An explanation, set apart from the rest of the page."""

    text: Content

    def html(self, folder: Path) -> str:
        """Return the note as a paragraph."""
        return f'<p class="note">{_html(self.text, folder)}</p>'


@dataclass(frozen=True)
class Number:
    """A cell of a table that shows a text, such as an interval or a percentage, and is sorted by a number."""

    value: float
    shown: str

    def html(self, folder: Path) -> str:
        """Return the text."""
        return escape(self.shown)


@dataclass(frozen=True)
class Table:
    """A table that a click on a header sorts.

    Attributes:
        columns: the headers.
        rows: the cells; a float is shown with `decimals` digits, and sorted with all of them.
        texts: as in `print_table`: the first `texts` columns are text, the others numbers, right-aligned.
        decimals: digits after the decimal point.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: int = 1
    decimals: int = 4

    def html(self, folder: Path) -> str:
        """Return the table; it scrolls sideways on a narrow screen."""
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
    """A chart (`BarChart`) or an image with a caption."""

    picture: Block
    caption: Content = ""

    def html(self, folder: Path) -> str:
        """Return the figure."""
        caption = f"<figcaption>{_html(self.caption, folder)}</figcaption>" if self.caption else ""
        return f"<figure>{self.picture.html(folder)}{caption}</figure>"


@dataclass(frozen=True)
class Thumbnail:
    """An image file, shown small; a click opens it in full size."""

    path: Path
    alt: str
    width_px: int = 200

    def html(self, folder: Path) -> str:
        """Return the linked image; the browser loads it when it is scrolled near."""
        if not self.path.is_file():
            return _missing_file(self.path)
        url = relative_url(self.path, folder)
        image = f'<img loading="lazy" src="{url}" alt="{escape(self.alt)}" width="{self.width_px}">'
        return f'<a class="thumbnail" href="{url}">{image}</a>'


@dataclass(frozen=True)
class Player:
    """A player of a sound file, with text below it.

    A page may have hundreds: no sound is loaded before it is played.

    Attributes:
        path: the file; if it is missing, its name is shown in place of the player.
        below: text and blocks, each on a line of its own.
        good: marked with a green edge, such as the relevant clip of a query.
    """

    path: Path
    below: Sequence[Content] = ()
    good: bool = False

    def html(self, folder: Path) -> str:
        """Return the player and the text below it."""
        if self.path.is_file():
            name = escape(_readable(self.path.name))
            url = relative_url(self.path, folder)
            sound = f'<audio controls preload="none" src="{url}" aria-label="{name}"></audio>'
        else:
            sound = _missing_file(self.path)
        kind = "player good" if self.good else "player"
        below = "\n".join(f"<div>{_html(content, folder)}</div>" for content in self.below)
        return f'<div class="{kind}">{sound}{below}</div>'


@dataclass(frozen=True)
class Details:
    """A line that a click unfolds to a list."""

    summary: str
    items: Sequence[Content]

    def html(self, folder: Path) -> str:
        """Return the line with its list, folded."""
        items = "".join(f"<li>{_html(item, folder)}</li>" for item in self.items)
        return f"<details><summary>{escape(self.summary)}</summary><ul>{items}</ul></details>"


@dataclass(frozen=True)
class Grid:
    """Blocks side by side, as many in a row as fit."""

    blocks: Sequence[Content]
    least_width_px: int = 240

    def html(self, folder: Path) -> str:
        """Return the grid, with columns of equal width."""
        cells = "".join(f"<div>{_html(block, folder)}</div>" for block in self.blocks)
        return f'<div class="grid-of" style="--least:{self.least_width_px}px">{cells}</div>'


@dataclass(frozen=True)
class Card:
    """One example: a title, a line below it, and blocks."""

    title: str
    line: str
    blocks: Sequence[Content]

    def html(self, folder: Path) -> str:
        """Return the card in a frame; the browser computes its layout when it is scrolled near."""
        head = f'<h3>{escape(self.title)}</h3><p class="quiet">{escape(self.line)}</p>'
        return f'<article class="card">{head}{_join(self.blocks, folder)}</article>'


@dataclass
class Page:
    """A page: a title, links to the sections, and the sections."""

    title: str
    subtitle: str = ""
    sections: list[tuple[str, Sequence[Content]]] = field(default_factory=list)

    def section(self, title: str, *blocks: Content) -> None:
        """Append a section."""
        self.sections.append((title, blocks))

    def html(self, folder: Path) -> str:
        """Return the whole page, with links for a page in `folder`."""
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
        """Write the page, complete or not at all, with links relative to the folder of `path`."""
        # File names may contain bytes that are not UTF-8, which Python holds as lone surrogates.
        with replacing(path) as beside, beside.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(self.html(path.parent))


def _html(content: Content, folder: Path) -> str:
    return escape(content) if isinstance(content, str) else content.html(folder)


def _join(contents: Sequence[Content], folder: Path) -> str:
    return "\n".join(_html(content, folder) for content in contents)


def _sort_key(value: float) -> str:
    """Write a number for JavaScript's parseFloat, which gives NaN for "nan"."""
    return repr(value).replace("inf", "Infinity")


def _missing_file(path: Path) -> str:
    return f'<span class="gone">no such file: {escape(_readable(str(path)))}</span>'


def _readable(name: str) -> str:
    """Escape the bytes of a file name that are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _ids(titles: Sequence[str]) -> list[str]:
    """Return a unique HTML id for each title: its number and its words."""
    return [f"{n}-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}" for n, title in enumerate(titles, 1)]


def _asset(name: str) -> str:
    """Read a file of this module's folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
