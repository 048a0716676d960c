"""Lists of similar tracks: of single tracks, of several seed tracks together, and of a user's files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.music.results import Settings
from utils.artefact_utils import Track
from utils.artefact_utils.playlists import PlaylistEntry
from utils.cli_utils import UserError, short_repr
from utils.metric_utils.recommendation.neighbours import agreed_tracks, nearest_tracks
from utils.metric_utils.recommendation.similarity import track_scores
from utils.metric_utils.recommendation.tracks import Tracks

Array = NDArray[np.float32]

# Queries that are shown by default: one of each genre, within these numbers.
LEAST_QUERIES, MOST_QUERIES = 5, 10
# Of each seed's list that is combined: a track may be far down in one of them.
_SEED_NEIGHBOURS = 100
_SHOWN_IDS = 5


class Listed(NamedTuple):
    """A recommended track."""

    track: Track
    score: float
    same_genre: bool  # as the query, or as one of several seeds
    same_artist: bool


class Comparison(NamedTuple):
    """The lists of several systems for one query."""

    title: str
    queries: Sequence[Track]  # the query, or the seeds; empty: a file of the user's
    files: Sequence[Path]  # of the query
    lists: Mapping[str, Sequence[Listed]]  # system -> best first

    def counted(self, system: str) -> str:
        """How many tracks of a list match, in words; of a query without genre or artist only those that can."""
        found = self.lists[system]
        counts = []
        if any(track.genre for track in self.queries):
            counts.append(f"{sum(item.same_genre for item in found)} of the same genre")
        if any(track.artist for track in self.queries):
            counts.append(f"{sum(item.same_artist for item in found)} of the same artist")
        return f"{len(found)} tracks" + "".join(f", {count}" for count in counts)


@dataclass(frozen=True, eq=False)
class Recommender:
    """Lists of the N tracks of a split, by several systems.

    Attributes:
        tracks: N of them.
        known: the same, as the filters take it.
        root: data.root, where their files are.
        embeddings: system -> (N, E) unit vectors.
        settings: how they are compared.
        length: of a list.
        filter: which tracks are left out of a query's list: none, artist, album, version.
    """

    tracks: Sequence[Track]
    known: Tracks
    root: Path
    embeddings: Mapping[str, Array]
    settings: Settings
    length: int
    filter: str

    def similar_to(self, rows: Sequence[int]) -> list[Comparison]:
        """The lists of single tracks.

        Args:
            rows: of the tracks.
        """
        nearest = {name: self._nearest(name, rows, self.length) for name in self.embeddings}
        found = []
        for number, row in enumerate(rows):
            lists = {
                name: self._listed([self.tracks[row]], index[number], scores[number])
                for name, (index, scores) in nearest.items()
            }
            found.append(self._comparison([self.tracks[row]], lists))
        return found

    def agreed(self, rows: Sequence[int]) -> Comparison:
        """The list on which the lists of several seed tracks agree; its scores are points, not cosines.

        Args:
            rows: of the seeds; of a single one, its list as it is.
        """
        if len(rows) == 1:
            return self.similar_to(rows)[0]
        seeds = [self.tracks[row] for row in rows]
        exclusions = self.known.exclusions(self.filter)
        excluded = np.any([exclusions.mask(row, row + 1)[0] for row in rows], axis=0)
        lists = {}
        for name in self.embeddings:
            index, _ = self._nearest(name, rows, max(_SEED_NEIGHBOURS, self.length))
            best, points = agreed_tracks(index, len(self.tracks), self.length, excluded=excluded)
            lists[name] = self._listed(seeds, best, points)
        return self._comparison(seeds, lists)

    def similar_to_file(self, path: Path, queries: Mapping[str, Array]) -> Comparison:
        """The lists of a file of the user's.

        Args:
            path: of the file.
            queries: system -> (E,) unit vector of the file.
        """
        lists = {}
        for name, embeddings in self.embeddings.items():
            scores = track_scores(embeddings, queries[name][None], self.settings.rescaling)
            index, best = nearest_tracks(scores, min(self.length, len(self.tracks)))
            lists[name] = self._listed([], index[0], best[0])
        return Comparison(path.name, [], [path], lists)

    def _nearest(self, name: str, rows: Sequence[int], k: int) -> tuple[NDArray[np.int64], Array]:
        scores = track_scores(self.embeddings[name], rescaling=self.settings.rescaling)
        index, best = nearest_tracks(scores, min(k, len(self.tracks) - 1), self.known.exclusions(self.filter))
        return index[list(rows)], best[list(rows)]

    def _listed(self, queries: Sequence[Track], index: NDArray[np.int64], scores: NDArray[np.floating]) -> list[Listed]:
        genres, artists = ({getattr(track, key) for track in queries} - {""} for key in ("genre", "artist"))
        found = [(self.tracks[row], float(score)) for row, score in zip(index, scores, strict=True) if row >= 0]
        return [Listed(track, score, track.genre in genres, track.artist in artists) for track, score in found]

    def _comparison(self, queries: Sequence[Track], lists: Mapping[str, Sequence[Listed]]) -> Comparison:
        title = " + ".join(track_title(track) for track in queries)
        return Comparison(title, queries, [self.root / track.path for track in queries], lists)


def track_title(track: Track) -> str:
    """Artist and title, and the id where they are not known."""
    return " - ".join(filter(None, (track.artist, track.title))) or track.track_id


def playlist_entry(track: Track, root: Path) -> PlaylistEntry:
    """The track as a playlist names it."""
    return PlaylistEntry(root / track.path, track_title(track), track.duration_s)


def default_queries(tracks: Sequence[Track], genres: Sequence[str] = ()) -> list[int]:
    """The rows of a track of each genre, 5 to 10 in all, evenly spaced within a genre.

    Args:
        tracks: of a split.
        genres: to choose from; empty: all, with the tracks of unknown genre where there are no others.
    Raises:
        UserError: no track has such a genre.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, track in enumerate(tracks):
        rows[track.genre].append(row)
    known = sorted(genre for genre in rows if genre)
    for genre in genres:
        if genre not in known:
            choices = ", ".join(known) or "none: no track has a genre"
            raise UserError(f"--genre {short_repr(genre)}: no track of the split has it; choices: {choices}")
    chosen = list(dict.fromkeys(genres)) or known or [""]
    each = -(-LEAST_QUERIES // len(chosen))
    taken = [_spaced(rows[genre], each) for genre in chosen]
    in_turn = [of_genre[place] for place in range(each) for of_genre in taken if place < len(of_genre)]
    return in_turn[: max(MOST_QUERIES, len(chosen)) if genres else MOST_QUERIES]


def _spaced(rows: Sequence[int], count: int) -> list[int]:
    """`count` of the rows, or all."""
    places = (np.arange(min(count, len(rows))) + 0.5) * len(rows) / min(count, len(rows))
    return [rows[int(place)] for place in places]


def rows_of(ids: Sequence[str], option: str, tracks: Sequence[Track], catalogue: Sequence[Track]) -> list[int]:
    """The rows of tracks that a user names.

    Args:
        ids: `track_id`, with or without leading zeros.
        option: of the command line, for messages.
        tracks: of the split.
        catalogue: of all splits.
    Raises:
        UserError: an id is in no split, or in another one.
    """
    row_of = {track.track_id: row for row, track in enumerate(tracks)}
    short = {track_id.lstrip("0"): row for track_id, row in row_of.items()}
    found = []
    for given in ids:
        row = row_of.get(given, short.get(given.lstrip("0")))
        if row is None:
            _refuse(given, option, tracks, catalogue)
        else:
            found.append(row)
    return list(dict.fromkeys(found))


def _refuse(given: str, option: str, tracks: Sequence[Track], catalogue: Sequence[Track]) -> None:
    """Say why a track id cannot be used.

    Raises:
        UserError: always.
    """
    elsewhere = next((track for track in catalogue if given.lstrip("0") == track.track_id.lstrip("0")), None)
    if elsewhere is not None and elsewhere.split != tracks[0].split:
        raise UserError(
            f"{option} {short_repr(given)}: the track is of split '{elsewhere.split}', expected one of "
            f"'{tracks[0].split}'; add --split {elsewhere.split}"
        )
    if elsewhere is not None:
        raise UserError(f"{option} {short_repr(given)}: a system has no embedding of this track; name another one")
    some = ", ".join(track.track_id for track in tracks[:_SHOWN_IDS])
    split = f"'{tracks[0].split}' has {len(tracks)}, such as {some}"
    raise UserError(f"{option} {short_repr(given)}: the catalogue has no such track id; {split}")
