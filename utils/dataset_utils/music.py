"""Tracks of a music data set before they are decoded: what its tables or tags say of each file."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from utils.dataset_utils.clips import Rejected

_SEVERAL = re.compile(r"[;|\0]")  # between genres, and between artists of a track
_GUESTS = re.compile(r"[\s(\[]+(?:feat|ft|featuring)\b\.?\s.*", re.IGNORECASE | re.DOTALL)


class RawTrack(NamedTuple):
    """One file and what is said of it; what is not known is empty."""

    file: Path
    track_id: str  # the data set's own id
    title: str = ""
    artist: str = ""
    album: str = ""
    genre: str = ""  # the top genre
    genres: tuple[str, ...] = ()
    split: str = ""  # as the data set calls it; empty: nothing names one


class Genre(NamedTuple):
    """A genre and its place in the tree; a top genre has no parent and is its own top."""

    name: str
    parent: str
    top: str


@dataclass(frozen=True)
class RawMusic:
    """A music data set before it is split and decoded.

    Attributes:
        tracks: those that have a file, each file and each id once.
        refused: rows without a file, files without a row, and rows that repeat an earlier one.
        understood: lines on how the folder and its tables were read.
        tree: the genres, if the data set has a tree.
    """

    tracks: list[RawTrack]
    refused: list[Rejected]
    understood: list[str]
    tree: list[Genre] = field(default_factory=list)


def tidy(text: str) -> str:
    """Bring a title or name into one Unicode form, without line ends and double blanks."""
    return " ".join(unicodedata.normalize("NFC", text).replace("\0", " ").split())


def several_names(cell: str) -> tuple[str, ...]:
    """The names in a cell or tag, with `;` or `|` between them; each once."""
    return tuple(dict.fromkeys(name for part in _SEVERAL.split(cell) if (name := tidy(part))))


def main_artist(cell: str) -> str:
    """The first artist of a cell or tag, without guests: 'A' of 'A;B' and of 'A feat. B'.

    Splits and filters go by artist: what is the artist's own is to be it with guests, too.
    """
    artists = several_names(cell)
    return (_GUESTS.sub("", artists[0]) or artists[0]) if artists else ""


def with_one_spelling(tracks: Sequence[RawTrack]) -> list[RawTrack]:
    """Give artists, albums and genres that differ in case alone the spelling of most of their tracks.

    Filters and precision compare names: 'the beatles' of one file is to be the artist of 'The Beatles' too.
    """
    artists = _spellings(track.artist for track in tracks)
    albums = _spellings(track.album for track in tracks)
    genres = _spellings(name for track in tracks for name in (track.genre, *track.genres))
    return [
        track._replace(
            artist=artists[track.artist.casefold()],
            album=albums[track.album.casefold()],
            genre=genres[track.genre.casefold()],
            genres=tuple(dict.fromkeys(genres[name.casefold()] for name in track.genres)),
        )
        for track in tracks
    ]


def _spellings(names: Iterable[str]) -> Mapping[str, str]:
    """The most frequent spelling of each name, by the name in lower case; the first one of equally many."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name in names:
        found[name.casefold()][name] += 1
    return {key: min(counts, key=lambda name: (-counts[name], name)) for key, counts in found.items()}
