"""The genres: rhythms, tempi and mixtures of instruments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Chords = Literal["held", "strummed", "arpeggio"]
Drum = Literal["kick", "snare", "hat", "ride", "shaker", "tom"]

# Of a step of a pattern: struck always, often, sometimes, or only when a drummer fills in.
CHANCE: Mapping[str, float] = {"x": 0.97, "o": 0.6, "-": 0.25, ".": 0.03}
STEPS = 16  # sixteenths of a bar of 4/4


@dataclass(frozen=True)
class Genre:
    """A top genre.

    Attributes:
        genre_id: its number in genres.csv.
        name: of the genre.
        subgenres: number -> name of the genres below it.
        tempo_bpm: the range of tempi; those of most genres overlap.
        swing: the range of the delay of every second sixteenth, as a share of a sixteenth.
        drums: drum -> pattern of a bar.
        drum_db: the range of the level of the drums beside the other instruments.
        bass: pattern of a bar.
        lead: pattern of a bar.
        chords: how chords are played.
        instruments: instrument -> its weight in the mixture from which artists draw theirs.
    """

    genre_id: int
    name: str
    subgenres: Mapping[int, str]
    tempo_bpm: tuple[float, float]
    swing: tuple[float, float]
    drums: Mapping[Drum, str]
    drum_db: tuple[float, float]
    bass: str
    lead: str
    chords: Chords
    instruments: Mapping[str, float]


GENRES: tuple[Genre, ...] = (
    Genre(
        1,
        "Electronic",
        {11: "Techno", 12: "Synth Pop"},
        (104, 138),
        (0.0, 0.15),
        {
            "kick": "x...x...x...x...",
            "hat": "..x...x...x...x.",
            "snare": "....-.......o...",
            "shaker": "--------o-------",
        },
        (-12, 0),
        "o.x.o.x.o.x.o.xo",
        "x..x..x...x..x..",
        "arpeggio",
        {"saw": 3.0, "square": 2.5, "pad": 1.5, "organ": 1.0},
    ),
    Genre(
        2,
        "Hip-Hop",
        {21: "Instrumental Hip-Hop", 22: "Trip-Hop"},
        (76, 112),
        (0.15, 0.5),
        {"kick": "x..-..x...x.-...", "snare": "....x.......x..-", "hat": "x.xox.x-x.xox.xo"},
        (-11, 1),
        "x..o..x...-.o...",
        "..o...-...o..-..",
        "held",
        {"keys": 2.5, "pluck": 1.0, "pad": 1.5, "square": 1.0, "bell": 1.0},
    ),
    Genre(
        3,
        "Rock",
        {31: "Garage Rock", 32: "Post-Rock"},
        (98, 148),
        (0.0, 0.12),
        {"kick": "x.....-.x.o...-.", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x.", "tom": "..............--"},
        (-12, 0),
        "x.x.x.x.x.x.x.x.",
        "x...o...x.o.o...",
        "strummed",
        {"saw": 3.0, "organ": 1.5, "pluck": 1.5, "square": 1.0},
    ),
    Genre(
        4,
        "Folk",
        {41: "Singer-Songwriter", 42: "Dance Tunes"},
        (84, 132),
        (0.05, 0.3),
        {"shaker": "x.-.x.-.x.-.x.-.", "tom": "o.....-.o.......", "kick": "-.......-......."},
        (-20, -6),
        "x.......x.......",
        "x.o.x.x.o.x.x.o.",
        "arpeggio",
        {"pluck": 3.0, "flute": 2.0, "keys": 1.0, "reed": 1.0},
    ),
    Genre(
        5,
        "Jazz",
        {51: "Swing", 52: "Cool Jazz"},
        (92, 144),
        (0.4, 0.66),
        {
            "ride": "x...x..ox...x..o",
            "hat": "....x.......x...",
            "kick": "-..-..-...-..-..",
            "snare": "...-..-....-..-.",
        },
        (-15, -2),
        "x...x...x...x..-",
        "o..ox..o..o.x..o",
        "strummed",
        {"keys": 2.5, "reed": 2.5, "bell": 0.8, "organ": 0.8, "flute": 0.8},
    ),
    Genre(
        6,
        "Ambient",
        {61: "Drone", 62: "Chill-Out"},
        (64, 104),
        (0.0, 0.3),
        {"shaker": "-...-...-...-...", "kick": "-.......-.......", "hat": "....-......-...."},
        (-22, -8),
        "x...............",
        "o.....-...o.....",
        "held",
        {"pad": 3.0, "bell": 1.5, "flute": 1.0, "organ": 1.5, "keys": 0.8},
    ),
)
