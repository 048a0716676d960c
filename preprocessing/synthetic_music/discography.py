"""The albums, songs and versions of an artist, and the plan of one track, from seed, split and index alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from preprocessing.synthetic_music.artists import Artist, draw_artist, draw_title
from preprocessing.synthetic_music.songs import Song, draw_song
from preprocessing.synthetic_music.styles import GENRES

# live: another performance, at another tempo, before an audience. remaster: the same recording with other tones and
# levels. reissue: the same recording under another title, which only its sound gives away.
Version = Literal["original", "live", "remaster", "reissue"]
CROSSOVER = 0.05  # share of songs between two genres, which have no top genre


@dataclass(frozen=True)
class Album:
    """An album of a discography: its tracks are (song, version)."""

    kind: str  # as FMA's column album.type has it
    tracks: tuple[tuple[int, Version], ...]


def _album(*songs: int) -> Album:
    return Album("Album", tuple((song, "original") for song in songs))


# One after the other for the artists of a split. They are 5 where the genres are 6, so that every genre has each.
DISCOGRAPHIES: tuple[tuple[Album, ...], ...] = (
    (_album(0, 1, 2), _album(3), Album("Live Performance", ((0, "live"),))),
    (_album(0, 1, 2),),
    (
        _album(0, 1),
        _album(2),
        Album("Live Performance", ((0, "live"), (2, "live"))),
        Album("Album", ((1, "remaster"),)),
    ),
    (_album(0, 1), _album(2), Album("Compilation", ((2, "reissue"),))),
    (_album(0, 1),),
)
_TRACKS = [sum(len(album.tracks) for album in albums) for albums in DISCOGRAPHIES]


@dataclass(frozen=True)
class TrackPlan:
    """A track before its sound is made; cheap.

    Attributes:
        track_id: FMA's; unlike that of any other track, and the lower, the smaller its index.
        artist: of the track.
        album_id: unlike that of any other album.
        album_title: title of the album.
        album: its kind and tracks.
        number: of the track on its album, from 1.
        title: with what says that it is another version, except for a reissue.
        version: what is done to the song.
        song: what is played.
        performance: seed of how it is played: the same for all versions but a live one.
        recording: seed of how it is recorded: of this track alone.
    """

    track_id: int
    artist: Artist
    album_id: int
    album_title: str
    album: Album
    number: int
    title: str
    version: Version
    song: Song
    performance: tuple[int, ...]
    recording: tuple[int, ...]


def track_id_of(split_number: int, index: int) -> int:
    """The id of a track: the splits alternate, so that a larger corpus keeps the ids of a smaller one."""
    return 3 * index + split_number + 2  # FMA begins with 2


def plan_track(seed: int, split_number: int, index: int) -> TrackPlan:
    """Draw artist, album, song and version of a track.

    Args:
        seed: of the corpus, 0 or more.
        split_number: 0 training, 1 validation, 2 test; each has artists of its own.
        index: of the track in its split; other tracks have no influence on it.
    """
    artist_number, place = _locate(index)
    key = (seed, split_number, artist_number)
    rng = np.random.default_rng(key)
    artist_id = 3 * artist_number + split_number + 1
    artist = draw_artist(rng, artist_id, GENRES[(artist_number + 2 * split_number) % len(GENRES)])
    albums = DISCOGRAPHIES[artist_number % len(DISCOGRAPHIES)]
    titles = _different_titles(rng, 10)  # at most four songs, another name for a reissue, and four albums
    entries = [(number, track) for number, album in enumerate(albums) for track in range(len(album.tracks))]
    album_number, track = entries[place]
    song, version = albums[album_number].tracks[track]
    live_title = f"Live at {rng.choice(['the Depot', 'Harbour Hall', 'the Old Mill', 'Studio 3'])}"
    recording = (*key, 1000 + place)
    return TrackPlan(
        track_id=track_id_of(split_number, index),
        artist=artist,
        album_id=10 * artist_id + album_number,
        album_title=live_title if albums[album_number].kind == "Live Performance" else titles[-1 - album_number],
        album=albums[album_number],
        number=track + 1,
        title=_title_of(titles[song], titles[5], version, np.random.default_rng((*recording, 1))),
        version=version,
        song=draw_song(np.random.default_rng((*key, 1 + song)), artist, CROSSOVER),
        performance=(*recording, 2) if version == "live" else (*key, 100 + song),
        recording=recording,
    )


def _locate(index: int) -> tuple[int, int]:
    """The number of a track's artist in its split, and of the track among those of the artist."""
    rounds, rest = divmod(index, sum(_TRACKS))
    starts = list(itertools.accumulate(_TRACKS, initial=0))
    artist = max(number for number, start in enumerate(starts[:-1]) if start <= rest)
    return rounds * len(_TRACKS) + artist, rest - starts[artist]


def _different_titles(rng: np.random.Generator, count: int) -> list[str]:
    titles: dict[str, None] = {}
    while len(titles) < count:
        titles[draw_title(rng)] = None
    return list(titles)


def _title_of(title: str, other: str, version: Version, rng: np.random.Generator) -> str:
    year = rng.integers(1998, 2024)
    choices = {
        "original": [title],
        "live": [
            f"{title} (live)",
            f"{title} [Live]",
            f"{title} - Live in {rng.choice(_TOWNS)}",
            f"{title} (Live {year})",
        ],
        "remaster": [f"{title} - remaster", f"{title} (Remastered {year})", f"{title} - {year} Remaster"],
        "reissue": [other],
    }
    return str(rng.choice(choices[version]))


_TOWNS = ("Ghent", "Porto", "Leeds", "Turku", "Graz")
