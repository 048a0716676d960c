"""What is known of the tracks, as integers, and the four filters that follow from it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices
from utils.metric_utils.recommendation.titles import normal_title

FILTERS = ("none", "artist", "album", "version")
_NO_PAIRS = np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Exclusions:
    """Which tracks are no candidates for which query; a track never recommends itself.

    Attributes:
        number: N tracks, queries and candidates alike.
        group: (N,) codes: tracks of one code exclude each other; -1: of no group. None: no groups.
        pairs: (P, 2) rows of tracks that exclude each other.
    """

    number: int
    group: Indices | None = None
    pairs: Indices = field(default_factory=lambda: _NO_PAIRS)

    @cached_property
    def _by_query(self) -> Indices:
        """(P', 2) query and excluded candidate, sorted by query."""
        own = np.arange(self.number)
        both = np.concatenate([self.pairs, self.pairs[:, ::-1], np.stack([own, own], axis=1)])
        return both[np.argsort(both[:, 0], kind="stable")]

    def mask(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return (stop - start, N) True where a candidate is excluded for the queries start, ..., stop - 1."""
        stop = min(stop, self.number)
        excluded = np.zeros((stop - start, self.number), np.bool_)
        if self.group is not None:
            # an unknown query equals no code
            own = np.where(self.group < 0, -2, self.group)[start:stop]
            np.equal(own[:, None], self.group, out=excluded)
        first, last = np.searchsorted(self._by_query[:, 0], [start, stop])
        query, candidate = self._by_query[first:last].T
        excluded[query - start, candidate] = True
        return excluded


@dataclass(frozen=True, eq=False)
class Tracks:
    """N tracks; codes are equal where the thing is the same, and -1 where it is unknown.

    Attributes:
        genre: (N,) codes.
        artist: (N,) codes.
        album: (N,) codes.
        version: (N,) codes of the piece of which a track is a version.
        similar: (P, 2) rows of near-duplicate recordings.
    """

    genre: Indices
    artist: Indices
    album: Indices
    version: Indices
    similar: Indices = field(default_factory=lambda: _NO_PAIRS)

    def __len__(self) -> int:
        return len(self.genre)

    @classmethod
    def of(
        cls,
        *,
        genre: Sequence[str],
        artist: Sequence[str],
        album: Sequence[str],
        title: Sequence[str],
        similar: NDArray[Any] | None = None,
    ) -> Tracks:
        """Number the genres, artists, albums and pieces.

        An album is its name and its artist: many artists have one called "Live". A piece is its normal title and its
        artist, if both are known; the same title by another artist is mostly a coincidence ("Intro"), so that covers
        by others are candidates.

        Args:
            genre: (N,) names, "" where it is unknown; case and blanks around it do not matter.
            artist: (N,) names.
            album: (N,) names.
            title: (N,) titles as they are written.
            similar: (P, 2) rows of near-duplicate recordings, in either order.
        Raises:
            ValueError: different numbers of names, or rows of `similar` that are not (P, 2) of these tracks.
        """
        sizes = {len(genre), len(artist), len(album), len(title)}
        if len(sizes) > 1:
            found = f"{len(genre)} genres, {len(artist)} artists, {len(album)} albums, {len(title)} titles"
            raise ValueError(f"{found}; expected one of each for a track")
        artists = [_plain(name) for name in artist]
        albums = [(by, name) if name else None for by, name in zip(artists, map(_plain, album), strict=True)]
        titles = map(normal_title, title)
        pieces = [(by, name) if by and name else None for by, name in zip(artists, titles, strict=True)]
        return cls(
            _codes(map(_plain, genre)), _codes(artists), _codes(albums), _codes(pieces), _rows(similar, len(genre))
        )

    def exclusions(self, name: str) -> Exclusions:
        """Return the tracks that a filter excludes: those of the query's artist, of its album, or its versions.

        Raises:
            ValueError: a name that is not one of `FILTERS`.
        """
        if name not in FILTERS:
            raise ValueError(f"filter is {name!r}; choices: {', '.join(FILTERS)}")
        if name == "version":
            return Exclusions(len(self), self.version, self.similar)
        return Exclusions(len(self), {"artist": self.artist, "album": self.album}.get(name))


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _codes(names: Iterable[Hashable]) -> Indices:
    """Number distinct names 0, 1, ... in the order of their first use; -1 for "" and None."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) if name else -1 for name in names], np.int64)


def _rows(similar: NDArray[Any] | None, number: int) -> Indices:
    if similar is None or not np.size(similar):
        return _NO_PAIRS
    rows = np.asarray(similar)
    if rows.ndim != 2 or rows.shape[1] != 2 or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"similar is {rows.dtype} {rows.shape}; expected integers (P, 2)")
    if rows.min() < 0 or rows.max() >= number:
        raise ValueError(f"similar holds rows {rows.min()} to {rows.max()}; expected 0 to {number - 1}")
    return rows.astype(np.int64)
