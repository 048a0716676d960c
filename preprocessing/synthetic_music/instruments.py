"""Notes and strikes in samples: harmonic wavetables with envelopes, and drums of tones and noise.

Everything is float32 at `SAMPLE_RATE_HZ`; S is the number of samples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from preprocessing.synthetic_music.songs import Notes, Numbers
from preprocessing.synthetic_music.styles import Drum

SAMPLE_RATE_HZ = 22_050
Wave = NDArray[np.float32]

_TABLE_SIZE = 2048
_HARMONICS = np.arange(1, 41)
_HIGHEST_HZ = 10_000.0  # harmonics above are left out: they would come back below as other tones
_RELEASE_S = 0.05


@dataclass(frozen=True)
class Instrument:
    """How a note sounds.

    Attributes:
        slope: harmonic h has the amplitude h ** -slope.
        even: factor on the even harmonics.
        attack_s: until a note is at its loudest.
        decay_s: in which it falls to 1/e; None: it is held.
        partner: frequency of a second voice, as a factor; 1: none.
        breath: level of the noise in a note.
        vibrato: depth as a share of the frequency.
    """

    slope: float
    even: float
    attack_s: float
    decay_s: float | None
    partner: float = 1.0
    breath: float = 0.0
    vibrato: float = 0.0


INSTRUMENTS: Mapping[str, Instrument] = {
    "pluck": Instrument(1.3, 0.7, 0.004, 0.3, breath=0.01),
    "keys": Instrument(1.9, 1.0, 0.006, 0.6, partner=2.002),
    "organ": Instrument(1.6, 0.35, 0.02, None, partner=3.0),
    "pad": Instrument(1.7, 1.0, 0.22, None, partner=1.006),
    "saw": Instrument(1.0, 1.0, 0.01, None, partner=1.004),
    "square": Instrument(1.0, 0.02, 0.005, 0.35),
    "flute": Instrument(2.6, 0.6, 0.06, None, breath=0.06, vibrato=0.004),
    "reed": Instrument(1.15, 0.3, 0.035, None, breath=0.02, vibrato=0.006),
    "bell": Instrument(2.6, 1.0, 0.003, 0.8, partner=2.756),
    "bass": Instrument(2.2, 0.8, 0.008, 0.5),
}


def play(rng: np.random.Generator, name: str, notes: Notes, brightness: float, samples: int) -> Wave:
    """Play notes on an instrument.

    Args:
        rng: of the noise in the notes.
        name: of `INSTRUMENTS`.
        notes: N notes.
        brightness: as in `Artist`.
        samples: S.

    Returns:
        (S,) float32; notes that pass the end are cut.
    """
    instrument = INSTRUMENTS[name]
    wave = np.zeros(samples, np.float32)
    frequencies = 440 * 2 ** ((notes.pitches - 69) / 12)
    starts = np.round(notes.onsets_s * SAMPLE_RATE_HZ).astype(int)
    lengths = np.round((notes.durations_s + _RELEASE_S) * SAMPLE_RATE_HZ).astype(int)
    lengths = np.minimum(lengths, samples - starts)
    # Python's floats: numpy's own would turn every wave into float64
    rows = zip(starts.tolist(), lengths.tolist(), frequencies.tolist(), notes.gains.tolist(), strict=True)
    for start, length, frequency, gain in rows:
        if length > 0:
            wave[start : start + length] += gain * _note(rng, instrument, frequency, brightness, length)
    return wave


def _note(rng: np.random.Generator, instrument: Instrument, frequency: float, brightness: float, samples: int) -> Wave:
    time = np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE_HZ)
    cycles = frequency * time
    if instrument.vibrato:
        cycles += instrument.vibrato * frequency / 30 * np.sin(30 * time)
    # one table for all notes of an octave: the highest of them decides how many harmonics it has
    highest = frequency * max(1.0, instrument.partner) * 2
    table = _table(instrument.slope * brightness, instrument.even, max(1, int(np.log2(_HIGHEST_HZ / highest) * 4)))
    note = _looked_up(table, cycles)
    if instrument.partner != 1:
        note += 0.5 * _looked_up(table, cycles * instrument.partner)
    if instrument.breath:
        note += instrument.breath * rng.standard_normal(samples, dtype=np.float32)
    if instrument.decay_s is not None:
        note *= np.exp(time * (-1 / instrument.decay_s))
    attack, release = (round(seconds * SAMPLE_RATE_HZ) for seconds in (instrument.attack_s, _RELEASE_S))
    note[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)[:samples]
    note[-release:] *= np.linspace(1, 0, release, dtype=np.float32)[-samples:]
    return note


def _looked_up(table: Wave, cycles: Wave) -> Wave:
    return table[(cycles * _TABLE_SIZE).astype(np.int32) & (_TABLE_SIZE - 1)]


@functools.lru_cache(maxsize=256)
def _table(slope: float, even: float, quarter_octaves: int) -> Wave:
    """One period of a harmonic tone of RMS 0.2, with the harmonics below 2 ** (quarter_octaves / 4)."""
    numbers = _HARMONICS[: max(1, int(2 ** (quarter_octaves / 4)))]
    amplitudes = numbers**-slope * np.where(numbers % 2 == 0, even, 1)
    phases = 2 * np.pi * np.arange(_TABLE_SIZE) / _TABLE_SIZE
    # phases as a room has them: without them all harmonics would peak at once
    period = amplitudes @ np.sin(numbers[:, None] * phases + (numbers**2)[:, None])
    return (0.2 * period / np.sqrt(np.mean(period**2))).astype(np.float32)


def strike(rng: np.random.Generator, drum: Drum, pitch: float, hits: tuple[Numbers, Numbers], samples: int) -> Wave:
    """Strike a drum.

    Args:
        rng: of the noise in a strike; all strikes of a drum are the same but for their gain.
        drum: of `_DRUMS`.
        pitch: factor on its frequencies.
        hits: (N,) onsets in seconds and (N,) gains.
        samples: S.

    Returns:
        (S,) float32.
    """
    trigger = np.zeros(samples, np.float32)
    onsets, gains = hits
    where = np.round(onsets * SAMPLE_RATE_HZ).astype(int)
    np.add.at(trigger, where[where < samples], gains[where < samples].astype(np.float32))
    hit = _DRUMS[drum](rng, pitch)
    result: Wave = signal.oaconvolve(trigger, hit)[:samples].astype(np.float32)
    return result


def _time(duration_s: float) -> Wave:
    return np.arange(int(duration_s * SAMPLE_RATE_HZ), dtype=np.float32) / np.float32(SAMPLE_RATE_HZ)


def _kick(rng: np.random.Generator, pitch: float) -> Wave:
    time = _time(0.3)
    sweep = 50 * pitch * time + 4 * pitch * (1 - np.exp(-time / 0.03))
    return 0.9 * np.sin(2 * np.pi * sweep) * np.exp(-time / 0.09)


def _snare(rng: np.random.Generator, pitch: float) -> Wave:
    time = _time(0.25)
    body = 0.4 * np.sin(2 * np.pi * 190 * pitch * time) * np.exp(-time / 0.05)
    return body + 0.35 * _noise(rng, len(time), 900 * pitch, 8000) * np.exp(-time / 0.07)


def _hat(rng: np.random.Generator, pitch: float) -> Wave:
    time = _time(0.12)
    return 0.3 * _noise(rng, len(time), 5500 * pitch, 10_500) * np.exp(-time / 0.03)


def _ride(rng: np.random.Generator, pitch: float) -> Wave:
    time = _time(0.6)
    ring = sum(np.sin(2 * np.pi * f * pitch * time) for f in (3120.0, 4270.0, 5440.0))
    return (0.15 * _noise(rng, len(time), 3500, 10_000) + 0.04 * ring) * np.exp(-time / 0.16)


def _shaker(rng: np.random.Generator, pitch: float) -> Wave:
    time = _time(0.14)
    return 0.3 * _noise(rng, len(time), 3000 * pitch, 9000) * np.sin(np.pi * np.minimum(1, time / 0.13)) ** 2


def _tom(rng: np.random.Generator, pitch: float) -> Wave:
    time = _time(0.3)
    return 0.6 * np.sin(2 * np.pi * (105 * pitch * time + (1 - np.exp(-time / 0.04)))) * np.exp(-time / 0.1)


def _noise(rng: np.random.Generator, samples: int, low_hz: float, high_hz: float) -> Wave:
    sections = signal.butter(2, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    band: Wave = signal.sosfilt(sections.astype(np.float32), rng.standard_normal(samples, dtype=np.float32))
    return band


_DRUMS: Mapping[Drum, Callable[[np.random.Generator, float], Wave]] = {
    "kick": _kick,
    "snare": _snare,
    "hat": _hat,
    "ride": _ride,
    "shaker": _shaker,
    "tom": _tom,
}
