"""The table of kinds: which recipe makes a sound, how long, how often, how fast and how high.

A new kind is a recipe, one entry here and one in `vocabulary.WORDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from preprocessing.synthetic_corpus import steady_sounds, struck_sounds
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ, Recipe, Voice, Wave, place

Loudness = Literal["quiet", "moderate", "loud"]
Pitch = Literal["low", "mid", "high"]
Speed = Literal["slow", "steady", "fast"]
Range = tuple[float, float]

# Active RMS of one event, dB below full scale; the jitter leaves at least 7 dB between two words.
LEVEL_DB: Mapping[Loudness, float] = {"quiet": -34.0, "moderate": -24.0, "loud": -14.0}
LEVEL_JITTER_DB = 1.5


@dataclass(frozen=True)
class Kind:
    """How one kind of sound is drawn.

    Attributes:
        recipe: makes one strike of a countable kind, or the whole of a steady one.
        duration_s: of one strike, or of the whole steady sound.
        counts: fewest and most strikes; (1, 1) for a steady kind.
        rate_hz: strikes, strokes, ticks or sweeps a second for each speed that the kind has; captions
            speak of `slow` and `fast` only.
        pitch_hz: main tone or resonance for each pitch that the kind has; captions speak of `low` and
            `high` only.
        bed: a broad noise that hides other noises, and so only lies under or beside them.
    """

    recipe: Recipe
    duration_s: Range
    counts: tuple[int, int] = (1, 1)
    rate_hz: Mapping[Speed, Range] = field(default_factory=lambda: {"steady": (1.0, 1.0)})
    pitch_hz: Mapping[Pitch, Range] = field(default_factory=lambda: {"mid": (1000.0, 1000.0)})
    bed: bool = False

    @property
    def counted(self) -> bool:
        """Whether single strikes can be counted."""
        return self.counts[1] > 1


KINDS: Mapping[str, Kind] = {
    "bell": Kind(
        struck_sounds.bell,
        duration_s=(1.2, 1.8),
        counts=(1, 5),
        rate_hz={"steady": (1.2, 1.8)},
        pitch_hz={"low": (200, 300), "mid": (450, 600), "high": (950, 1400)},
    ),
    "alarm": Kind(
        struck_sounds.alarm,
        duration_s=(0.15, 0.25),
        counts=(1, 5),
        rate_hz={"slow": (1.2, 1.6), "fast": (2.8, 3.6)},
        pitch_hz={"low": (600, 800), "mid": (1100, 1500), "high": (2400, 3200)},
    ),
    "knock": Kind(
        struck_sounds.knock,
        duration_s=(0.16, 0.2),
        counts=(1, 5),
        rate_hz={"slow": (1.3, 1.8), "fast": (3.4, 4.4)},
        pitch_hz={"mid": (130, 240)},
    ),
    "dog": Kind(
        struck_sounds.bark,
        duration_s=(0.2, 0.3),
        counts=(1, 5),
        rate_hz={"steady": (1.6, 2.4)},
        pitch_hz={"low": (200, 280), "mid": (380, 480), "high": (650, 850)},
    ),
    "drip": Kind(
        struck_sounds.drip,
        duration_s=(0.16, 0.22),
        counts=(1, 5),
        rate_hz={"slow": (1.2, 1.6), "fast": (3.0, 3.8)},
        pitch_hz={"low": (450, 600), "mid": (850, 1050), "high": (1600, 2200)},
    ),
    "footsteps": Kind(
        struck_sounds.footstep,
        duration_s=(0.26, 0.32),
        counts=(2, 5),
        rate_hz={"slow": (1.2, 1.5), "fast": (2.6, 3.2)},
        pitch_hz={"mid": (60, 100)},
    ),
    "bird": Kind(
        struck_sounds.chirp,
        duration_s=(0.12, 0.22),
        counts=(1, 5),
        rate_hz={"steady": (2.0, 3.2)},
        pitch_hz={"low": (2200, 2600), "mid": (3300, 3900), "high": (5200, 6400)},
    ),
    "horn": Kind(
        struck_sounds.horn,
        duration_s=(0.3, 0.5),
        counts=(1, 4),
        rate_hz={"steady": (1.3, 1.7)},
        pitch_hz={"low": (180, 230), "mid": (310, 370), "high": (520, 640)},
    ),
    "whistle": Kind(
        struck_sounds.whistle,
        duration_s=(0.35, 0.55),
        counts=(1, 4),
        rate_hz={"steady": (1.2, 1.5)},
        pitch_hz={"low": (1300, 1600), "mid": (2100, 2400), "high": (3200, 3800)},
    ),
    "owl": Kind(
        struck_sounds.hoot,
        duration_s=(0.3, 0.5),
        counts=(1, 4),
        rate_hz={"steady": (1.2, 1.6)},
        pitch_hz={"mid": (300, 420)},
    ),
    "clap": Kind(
        struck_sounds.clap,
        duration_s=(0.16, 0.2),
        counts=(1, 5),
        rate_hz={"slow": (1.3, 1.7), "fast": (3.2, 4.0)},
    ),
    "telephone": Kind(
        struck_sounds.ring,
        duration_s=(0.7, 0.9),
        counts=(1, 4),
        rate_hz={"steady": (0.8, 0.95)},
        pitch_hz={"mid": (1000, 1300)},
    ),
    "siren": Kind(steady_sounds.siren, duration_s=(2.0, 3.6), rate_hz={"slow": (0.4, 0.6), "fast": (2.2, 3.4)}),
    "engine": Kind(
        steady_sounds.engine,
        duration_s=(1.6, 3.2),
        pitch_hz={"low": (28, 40), "mid": (60, 75), "high": (130, 180)},
    ),
    "rain": Kind(steady_sounds.rain, duration_s=(1.6, 3.4), bed=True),
    "wind": Kind(steady_sounds.wind, duration_s=(2.0, 3.6), bed=True),
    "clock": Kind(steady_sounds.clock, duration_s=(2.2, 3.6), rate_hz={"slow": (1.3, 1.7), "fast": (4.0, 5.0)}),
    "saw": Kind(steady_sounds.saw, duration_s=(1.8, 3.2), rate_hz={"slow": (1.3, 1.8), "fast": (3.2, 4.4)}),
    "waves": Kind(steady_sounds.waves, duration_s=(2.8, 4.4), rate_hz={"steady": (0.4, 0.6)}, bed=True),
    "insect": Kind(
        steady_sounds.insect,
        duration_s=(1.4, 3.0),
        pitch_hz={"low": (130, 170), "mid": (250, 320), "high": (520, 650)},
    ),
    "thunder": Kind(steady_sounds.thunder, duration_s=(2.0, 3.4), bed=True),
    "typing": Kind(steady_sounds.typing, duration_s=(1.8, 3.2), rate_hz={"slow": (2.8, 3.8), "fast": (8.0, 11.0)}),
    "cricket": Kind(steady_sounds.cricket, duration_s=(1.8, 3.2), rate_hz={"steady": (2.0, 3.2)}),
    "helicopter": Kind(steady_sounds.helicopter, duration_s=(1.8, 3.4), rate_hz={"steady": (10.0, 14.0)}),
}


def sound_duration_s(voice: Voice, count: int) -> float:
    """From the first onset to the end of the last strike, or of the steady sound, in seconds."""
    return (count - 1) / voice.rate_hz + voice.duration_s


def sound(rng: np.random.Generator, kind: Kind, voice: Voice, count: int) -> Wave:
    """One event of a kind, at an arbitrary level.

    Args:
        rng: draws what two instances differ in.
        kind: an entry of `KINDS`.
        voice: its pitch, rate and duration.
        count: strikes; 1 for a steady kind.
    Returns:
        (S,) float32 of `sound_duration_s`.
    """
    if not kind.counted:
        return kind.recipe(rng, voice)
    samples = round(sound_duration_s(voice, count) * SAMPLE_RATE_HZ)
    strike = kind.recipe(rng, voice)
    onsets_s = np.arange(count) / voice.rate_hz
    onsets_s[1:-1] += rng.uniform(-0.06, 0.06, max(0, count - 2)) / voice.rate_hz
    gains_db = rng.uniform(-1.5, 1.5, count)
    result = np.zeros(samples, np.float32)
    for onset_s, gain_db in zip(onsets_s.tolist(), gains_db.tolist(), strict=True):
        result += place(_again(rng, strike), [onset_s], [10 ** (gain_db / 20)], samples)
    return result


def _again(rng: np.random.Generator, strike: Wave) -> Wave:
    """The strike once more, up to 3 % higher and shorter: no body is struck twice in the same way."""
    where = np.arange(len(strike), dtype=np.float64) * rng.uniform(1.0, 1.03)
    return np.interp(where, np.arange(len(strike)), strike, right=0.0).astype(np.float32)
