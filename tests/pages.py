"""HTML pages, read by html.parser and opened from disk in headless Chromium."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
needs_browser = pytest.mark.usefixtures("browser")

# No network and no wizard; it runs as root in CI, hence without its sandbox.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--enable-logging=stderr",
]
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str, kind: str | None = None) -> list[Node]:
        """The nodes within of this tag, and of this class."""
        nodes = [node for node in self._within() if node.tag == tag]
        return nodes if kind is None else [n for n in nodes if kind in n.attributes.get("class", "").split()]

    def one(self, tag: str, kind: str | None = None) -> Node:
        (node,) = self.all(tag, kind)
        return node

    def section(self, title: str) -> Node:
        (node,) = [node for node in self.all("section") if node.one("h2").text == title]
        return node

    def rows(self) -> list[list[Node]]:
        """The cells of a table's body."""
        return [row.all("td") for row in self.one("tbody").all("tr")]

    def _within(self) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child._within()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(markup: str) -> Node:
    """The tree of a page; every tag must be closed by its own end."""
    reader = _Reader()
    reader.feed(markup)
    reader.close()
    (document,) = reader.open
    return document


def read(page: Path) -> Node:
    return parsed(page.read_text(encoding="utf-8"))


def targets(page: Path) -> list[Path]:
    """The files that a page links to or plays, as a browser finds them from where the page lies."""
    tree = read(page)
    urls = [node.attributes[name] for tag, name in _LINKS for node in tree.all(tag) if name in node.attributes]
    files = [url for url in urls if not url.startswith(("#", "data:"))]
    return [page.parent / unquote_to_bytes(url).decode("utf-8", "surrogateescape") for url in files]


_LINKS = [("a", "href"), ("audio", "src"), ("img", "src")]


class Opened(NamedTuple):
    dom: Node
    console: list[str]


@functools.cache
def browser() -> str | None:
    """The first of BROWSERS that starts; a stub that only says how to get one (Ubuntu's) does not."""
    for name in filter(shutil.which, BROWSERS):
        if subprocess.run([name, "--version"], capture_output=True, timeout=60, check=False).returncode == 0:
            return name
    return None


def opened(page: Path, script: str = "", width: int = 1200) -> Opened:
    """Open a page from disk, run a script in it, and read what it has become.

    Args:
        page: the file; the script runs in a copy beside it, since links are relative.
        script: JavaScript at the end of the page. Media that it loads are waited for.
        width: of the window, in pixels.
    Returns:
        The DOM after all scripts ran, and what was written to the console, errors too.
    """
    chromium = browser()
    assert chromium is not None
    copy, profile = page.with_name(f"opened-{page.name}"), page.with_name("profile")
    markup = page.read_text(encoding="utf-8")
    copy.write_text(markup.replace("</body>", f"<script>\n{script}\n</script></body>"), encoding="utf-8")
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},900"]
    try:
        done = subprocess.run([*command, "--dump-dom", copy.as_uri()], capture_output=True, timeout=120, check=True)
    finally:
        copy.unlink()
        shutil.rmtree(profile, ignore_errors=True)
    log = done.stderr.decode("utf-8", "replace")
    return Opened(parsed(done.stdout.decode("utf-8")), re.findall(r":CONSOLE:\d+\] (.*)", log))
