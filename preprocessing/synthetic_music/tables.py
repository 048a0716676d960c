"""The rows of tracks.csv and genres.csv, in FMA's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from preprocessing.synthetic_music.discography import TrackPlan
from preprocessing.synthetic_music.styles import GENRES
from utils.dataset_utils.corpus_writing import Row

# Of FMA's columns those that a synthesised track has; group and name are its two header rows.
TRACK_COLUMNS = (
    ("album", "id"),
    ("album", "title"),
    ("album", "tracks"),
    ("album", "type"),
    ("artist", "id"),
    ("artist", "name"),
    ("set", "split"),
    ("set", "subset"),
    ("track", "duration"),
    ("track", "genre_top"),
    ("track", "genres"),
    ("track", "genres_all"),
    ("track", "number"),
    ("track", "title"),
)
GENRE_COLUMNS = ("genre_id", "#tracks", "parent", "title", "top_level")

_PARENTS = {number: genre.genre_id for genre in GENRES for number in genre.subgenres}


def header_rows() -> list[Row]:
    """The three rows above the tracks: groups, names, and the name of the index."""
    groups, names = zip(*TRACK_COLUMNS, strict=True)
    return [("", *groups), ("", *names), ("track_id", *("" for _ in TRACK_COLUMNS))]


def track_row(plan: TrackPlan, split: str, duration_s: float) -> Row:
    """What tracks.csv says of a track.

    Args:
        plan: of the track.
        split: training, validation or test.
        duration_s: of its file; FMA has whole seconds.
    """
    genres = genres_of(plan)
    return (
        plan.track_id,
        plan.album_id,
        plan.album_title,
        len(plan.album.tracks),
        plan.album.kind,
        plan.artist.artist_id,
        plan.artist.name,
        split,
        "small",
        int(duration_s),
        # as in FMA, a track whose genres have several roots has no top genre
        plan.artist.genre.name if len(plan.song.genres) == 1 else "",
        str(genres),
        str(_with_parents(genres)),
        plan.number,
        plan.title,
    )


def genres_of(plan: TrackPlan) -> list[int]:
    """The genres of a track below the top ones: one, or two of a song between two top genres."""
    others = [min(genre.subgenres) for genre in plan.song.genres[1:]]
    return sorted([plan.artist.subgenre_id, *others])


def genre_rows(genres: Iterable[Sequence[int]]) -> Iterator[Row]:
    """The rows of genres.csv.

    Args:
        genres: of each track, without their parents.
    """
    counts = Counter(number for those in genres for number in _with_parents(those))
    for genre in GENRES:
        yield genre.genre_id, counts[genre.genre_id], 0, genre.name, genre.genre_id
        for number, name in genre.subgenres.items():
            yield number, counts[number], genre.genre_id, name, genre.genre_id


def _with_parents(genres: Sequence[int]) -> list[int]:
    return sorted({*genres, *(_PARENTS[number] for number in genres)})
