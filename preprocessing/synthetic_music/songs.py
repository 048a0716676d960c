"""A song: its harmony, melody and rhythm; and a performance of it, as notes and strikes in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.synthetic_music.artists import Artist, draw_instruments
from preprocessing.synthetic_music.styles import CHANCE, GENRES, STEPS, Drum, Genre

Steps = NDArray[np.bool_]
Numbers = NDArray[np.float64]

_PROGRESSIONS = ((0, 5, 3, 4), (0, 3, 0, 4), (0, 4, 5, 3), (5, 3, 0, 4), (0, 6, 5, 6), (1, 4, 0, 0), (0, 0, 3, 3))
_LOOP = 2 * STEPS  # patterns repeat after two bars


@dataclass(frozen=True)
class Song:
    """What is played, whoever plays it where.

    Attributes:
        genres: one, or the two of a song that has the rhythm of one and the instruments of another.
        instruments: of chords, lead and bass.
        tempo_bpm: quarters a minute.
        key: MIDI number of its lowest tonic.
        progression: a degree of the scale for each of four bars.
        drums: drum -> (32,) where it is struck.
        bass: (32,) where the bass plays.
        lead: (32,) where the lead plays.
        melody: (32,) steps above the tonic, for every step, played or not.
    """

    genres: tuple[Genre, ...]
    instruments: tuple[str, str, str]
    tempo_bpm: float
    key: int
    progression: tuple[int, ...]
    drums: dict[Drum, Steps]
    bass: Steps
    lead: Steps
    melody: NDArray[np.int64]


@dataclass(frozen=True)
class Notes:
    """N notes of one instrument.

    Attributes:
        onsets_s: (N,) when each begins.
        durations_s: (N,) how long each is held.
        pitches: (N,) MIDI numbers, with fractions where the instrument is out of tune.
        gains: (N,) factors.
    """

    onsets_s: Numbers
    durations_s: Numbers
    pitches: Numbers
    gains: Numbers


@dataclass(frozen=True)
class Performance:
    """A song in time: `layers` are the notes of chords, lead and bass; `strikes` are (onsets_s, gains) of each drum."""

    layers: tuple[Notes, Notes, Notes]
    strikes: dict[Drum, tuple[Numbers, Numbers]]


def draw_song(rng: np.random.Generator, artist: Artist, crossover: float) -> Song:
    """Draw a song of an artist.

    Args:
        rng: of the song.
        artist: who wrote it.
        crossover: the chance that it has the rhythm of another genre.
    """
    rhythm, instruments = artist.genre, artist.instruments
    if rng.random() < crossover:
        rhythm = GENRES[(GENRES.index(artist.genre) + rng.integers(1, len(GENRES))) % len(GENRES)]
    elif rng.random() < 0.3:  # a guest plays the lead
        instruments = (instruments[0], draw_instruments(rng, artist.genre, 1)[0], instruments[2])
    return Song(
        (artist.genre,) if rhythm is artist.genre else (artist.genre, rhythm),
        instruments,
        rng.uniform(*(artist.tempo_bpm if rhythm is artist.genre else rhythm.tempo_bpm)),
        int(rng.integers(40, 52)),
        _PROGRESSIONS[rng.integers(len(_PROGRESSIONS))],
        {drum: _draw_steps(rng, pattern, artist.busyness) for drum, pattern in rhythm.drums.items()},
        _draw_steps(rng, rhythm.bass, artist.busyness),
        _draw_steps(rng, rhythm.lead, artist.busyness),
        np.clip(np.cumsum(rng.integers(-2, 3, _LOOP)), -4, 7),
    )


def _draw_steps(rng: np.random.Generator, pattern: str, busyness: float) -> Steps:
    chances = np.tile([CHANCE[mark] for mark in pattern], _LOOP // STEPS) ** (1 / busyness)
    return rng.random(_LOOP) < chances


def perform(
    rng: np.random.Generator, song: Song, artist: Artist, tempo_factor: float, duration_s: float
) -> Performance:
    """Play a song from its first bar on.

    Args:
        rng: of the performance: two of one song differ in the onsets and in the loudness of single notes.
        song: what is played.
        artist: who plays it.
        tempo_factor: 1.05 is 5 % faster.
        duration_s: until when notes begin.
    """
    step_s = 15 / (song.tempo_bpm * tempo_factor)
    count = int(duration_s / step_s)
    numbers = np.arange(count)
    grid = (numbers + artist.swing * (numbers % 2)) * step_s
    tonics = np.take(song.progression, numbers // STEPS % len(song.progression))  # of each step
    beats = np.where(numbers % 4 == 0, 1.0, 0.75)  # a beat is louder than what is between two

    def timed(steps: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
        onsets = np.maximum(0, grid[steps] + rng.normal(0, artist.looseness_s, len(steps)))
        return onsets, beats[steps] * rng.uniform(0.75, 1, len(steps))

    def notes(steps: NDArray[np.int64], degrees: NDArray[np.int64], octave: int, longest: float) -> Notes:
        onsets, gains = timed(steps)
        gaps = np.append(steps[1:], count) - steps
        # the notes of a chord begin together and last until the next chord
        gaps = np.where(gaps == 0, np.roll(gaps, -1), gaps)
        gaps = np.where(gaps == 0, np.roll(gaps, -1), gaps)
        scale = np.asarray(artist.scale)
        pitches = song.key + 12 * (octave + degrees // len(scale)) + scale[degrees % len(scale)]
        return Notes(onsets, np.minimum(gaps, longest) * step_s, pitches + artist.tuning_cents / 100, gains)

    chord_steps, thirds = _chords(numbers, song.genres[-1])
    lead = numbers[np.resize(song.lead, count)]
    bass = numbers[np.resize(song.bass, count)]
    layers = (
        notes(chord_steps, tonics[chord_steps] + thirds, 1, STEPS),
        notes(lead, tonics[lead] + np.resize(song.melody, count)[lead], 2, 6),
        notes(bass, tonics[bass], 0, 4),
    )
    strikes = {drum: timed(numbers[np.resize(steps, count)]) for drum, steps in song.drums.items()}
    return Performance(layers, strikes)


def _chords(numbers: NDArray[np.int64], rhythm: Genre) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The step of each note of the chords, and its degree above the tonic of its bar."""
    if rhythm.chords == "arpeggio":
        steps = numbers[::2]
        return steps, np.resize([0, 2, 4, 7, 4, 2], len(steps))
    marks = "x.......x......." if rhythm.chords == "held" else "x..x..x...x.x..."
    steps = numbers[np.resize([mark == "x" for mark in marks], len(numbers))]
    return np.repeat(steps, 3), np.tile([0, 2, 4], len(steps))
