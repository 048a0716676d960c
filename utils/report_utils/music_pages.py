"""The page of recommendations: each query with a player, beside it the lists of several systems to listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import NamedTuple

from utils.report_utils.pages import Card, Content, Figure, Grid, Note, Page, Paragraph, Player, Thumbnail

_COLUMN_PX, _MAP_PX = 420, 1000  # two lists side by side, below each other on a phone
_NOTE = (
    "A green edge marks tracks of the query's genre or artist. Each line begins with the score: a cosine, or one of "
    "local scaling, within one system; those of two systems cannot be compared. Of several seed tracks they are points "
    "of the fused ranks."
)


class PlayedTrack(NamedTuple):
    """A track of a list."""

    title: str
    line: str  # genre, album, score
    file: Path
    matches: bool  # the query's genre or artist


class PlayedList(NamedTuple):
    """The list of one system."""

    line: str  # below its name, such as how many tracks match
    tracks: Sequence[PlayedTrack]


class PlayedQuery(NamedTuple):
    """A query, or several seed tracks, with the lists of all systems."""

    title: str
    line: str
    files: Sequence[Path]
    lists: Mapping[str, PlayedList]  # name of the system -> list


@dataclass(frozen=True)
class Column:
    """A title, a quiet line, and blocks below each other."""

    title: str
    line: str
    blocks: Sequence[Content]

    def html(self, folder: Path) -> str:
        """Return the column."""
        head = f'<h3>{escape(self.title)}</h3><p class="quiet">{escape(self.line)}</p>'
        # a grid of one column has the gaps of a list
        return head + Grid(self.blocks, least_width_px=_COLUMN_PX).html(folder)


def recommendation_page(
    title: str,
    subtitle: str,
    queries: Sequence[PlayedQuery],
    metrics: Sequence[Content] = (),
    pictures: Mapping[str, Path] | None = None,
) -> Page:
    """Build the page.

    Args:
        title: of the page.
        subtitle: which systems, of which split.
        queries: a card each.
        metrics: blocks of a section of their own; empty: there is none.
        pictures: caption -> PNG, such as a map; shown behind the metrics.
    """
    page = Page(title, subtitle)
    page.section("Lists", Note(_NOTE), *(_card(query) for query in queries))
    if metrics:
        page.section("Metrics", *metrics)
    if pictures:
        figures = [Figure(Thumbnail(path, caption, _MAP_PX), caption) for caption, path in pictures.items()]
        page.section("Pictures", *figures)
    return page


def _card(query: PlayedQuery) -> Card:
    columns = [
        Column(name, found.line, [_player(track) for track in found.tracks]) for name, found in query.lists.items()
    ]
    return Card(query.title, query.line, [*(Player(file) for file in query.files), Grid(columns, _COLUMN_PX)])


def _player(track: PlayedTrack) -> Player:
    return Player(track.file, [track.title, Paragraph([track.line], quiet=True)], good=track.matches)
