"""An artist: what all of its songs have in common, and a name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preprocessing.synthetic_music.styles import GENRES, Genre

# Semitones above the key.
SCALES: tuple[tuple[int, ...], ...] = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10),
    (0, 2, 3, 5, 7, 8, 11),
)
# fmt: off
_ADJECTIVES = (
    "Amber", "Bitter", "Blue", "Borrowed", "Broken", "Copper", "Crimson", "Distant", "Early", "Electric", "Empty",
    "Final", "Frozen", "Gentle", "Golden", "Grey", "Hidden", "Hollow", "Idle", "Ivory", "Late", "Little", "Lonely",
    "Marble", "Midnight", "Narrow", "Northern", "Open", "Paper", "Plain", "Quiet", "Restless", "Rusty", "Salty",
    "Second", "Silver", "Slow", "Southern", "Velvet", "Wandering",
)
_NOUNS = (
    "Anchors", "Balconies", "Bridges", "Captains", "Carnivals", "Chapels", "Clocks", "Comets", "Corners",
    "Crickets", "Engines", "Ferries", "Fields", "Gardens", "Harbours", "Horizons", "Islands", "Kites", "Ladders",
    "Lanterns", "Letters", "Magnets", "Meadows", "Mirrors", "Orchards", "Pilots", "Postcards", "Radios", "Rivers",
    "Sailors", "Satellites", "Shadows", "Signals", "Sparrows", "Staircases", "Strangers", "Thieves", "Tigers",
    "Tramways", "Windows",
)
# fmt: on
_STEP = 937  # shares no factor with the number of names: each is drawn once before one comes again


@dataclass(frozen=True)
class Artist:
    """What all songs of an artist have in common.

    Attributes:
        artist_id: its number in tracks.csv.
        name: unlike that of any other artist.
        genre: its top genre.
        subgenre_id: the genre below it.
        tempo_bpm: the range of its tempi, narrower than the genre's.
        swing: as in `Genre`.
        drum_db: level of the drums.
        scale: semitones above the key.
        tuning_cents: of all its instruments; not all bands own a tuning fork.
        instruments: of the chords, the lead and the bass.
        brightness: exponent by which the harmonics of its instruments fall faster (above 1) or slower.
        kit: (6,) pitch factors of its drums.
        looseness_s: standard deviation of its onsets.
        busyness: factor on the chances of all steps.
    """

    artist_id: int
    name: str
    genre: Genre
    subgenre_id: int
    tempo_bpm: tuple[float, float]
    swing: float
    drum_db: float
    scale: tuple[int, ...]
    tuning_cents: float
    instruments: tuple[str, str, str]
    brightness: float
    kit: tuple[float, ...]
    looseness_s: float
    busyness: float


def draw_artist(rng: np.random.Generator, artist_id: int, genre: Genre) -> Artist:
    """Draw the parameters of an artist.

    Args:
        rng: of the artist.
        artist_id: unlike that of any other artist.
        genre: its top genre.
    """
    middle = rng.uniform(*genre.tempo_bpm)
    own, other = draw_instruments(rng, genre, 2), draw_instruments(rng, GENRES[rng.integers(len(GENRES))], 1)
    # Some play an instrument that another genre plays more often, and some a softer or a louder drum.
    chords, lead = (own[0], other[0]) if rng.random() < 0.25 else (own[0], own[1])
    return Artist(
        artist_id,
        _name(artist_id),
        genre,
        int(rng.choice(list(genre.subgenres))),
        (0.94 * middle, 1.06 * middle),
        rng.uniform(*genre.swing),
        rng.uniform(*genre.drum_db),
        SCALES[rng.integers(len(SCALES))],
        rng.normal(0, 18),
        (chords, lead, str(rng.choice(["bass", "square", "pluck", "organ"], p=[0.55, 0.15, 0.15, 0.15]))),
        rng.uniform(0.75, 1.4),
        tuple(rng.uniform(0.75, 1.35, 6).tolist()),
        rng.uniform(0.001, 0.012),
        rng.uniform(0.75, 1.25),
    )


def draw_instruments(rng: np.random.Generator, genre: Genre, count: int) -> list[str]:
    """Draw different instruments of a genre, by their weights."""
    weights = np.array(list(genre.instruments.values()))
    return [str(name) for name in rng.choice(list(genre.instruments), count, replace=False, p=weights / weights.sum())]


def draw_title(rng: np.random.Generator) -> str:
    """Draw the title of a song or of an album; some titles are those of many artists."""
    if rng.random() < 0.06:
        return ("Intro", "Untitled", "Home")[rng.integers(3)]
    adjective, noun, other = _ADJECTIVES[rng.integers(40)], _NOUNS[rng.integers(40)], _NOUNS[rng.integers(40)]
    return (f"{adjective} {noun}", f"{noun} of {other}", f"The {adjective} {noun}")[rng.integers(3)]


def _name(artist_id: int) -> str:
    number, names = artist_id * _STEP, len(_ADJECTIVES) * len(_NOUNS)
    name = f"{_ADJECTIVES[number % len(_ADJECTIVES)]} {_NOUNS[number // len(_ADJECTIVES) % len(_NOUNS)]}"
    return name if artist_id < names else f"{name} {artist_id // names + 1}"
