"""Recipes of countable sounds: each makes one strike, (S,) float32 with S = voice.samples.

`kinds.sound` makes a series of strikes of it. The models are those of the textbooks: struck bodies are
sums of damped modes, voices are pulses through formants, bubbles are rising damped sines.
"""

from __future__ import annotations

import numpy as np

from preprocessing.synthetic_corpus.synthesis import (
    Voice,
    Wave,
    band_pass,
    damped_modes,
    decay,
    fade,
    line,
    noise,
    place,
    seconds,
    tone,
    wander,
)

# Partials of a tuned church bell against its strike note: hum, prime, tierce, quint, nominal ...
_BELL_RATIOS = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.52, 2.66, 3.01, 4.05, 5.2])
_BELL_WEIGHTS = np.array([0.5, 0.8, 0.7, 0.35, 1.0, 0.4, 0.4, 0.5, 0.35, 0.25])


def bell(rng: np.random.Generator, voice: Voice) -> Wave:
    """A bell: inharmonic partials, the higher the sooner gone, each doubled so that it beats."""
    ratios = np.concatenate([_BELL_RATIOS, _BELL_RATIOS * (1 + rng.uniform(0.001, 0.004))])
    weights = np.tile(_BELL_WEIGHTS * rng.uniform(0.6, 1.4, len(_BELL_RATIOS)), 2)
    decays_s = rng.uniform(0.35, 0.6) / np.sqrt(ratios)
    ringing = damped_modes((voice.pitch_hz * ratios).tolist(), weights.tolist(), decays_s.tolist(), voice.samples)
    clapper = noise(rng, voice.samples) * decay(voice.samples, 0.004)
    return fade(ringing + band_pass(clapper, 1500, 20_000), 0.001, 0.5)


def alarm(rng: np.random.Generator, voice: Voice) -> Wave:
    """One beep of an electronic buzzer: odd harmonics, switched on and off."""
    frequency_hz = np.full(voice.samples, voice.pitch_hz, np.float32)
    weights = [1, 0, rng.uniform(0.15, 0.45), 0, rng.uniform(0.05, 0.25), 0, 0.08]
    return fade(tone(frequency_hz, weights), 0.004, 0.008)


def knock(rng: np.random.Generator, voice: Voice) -> Wave:
    """Knuckles on a wooden board: a few low, fast-decaying plate modes and a short click."""
    ratios = np.array([1.0, 1.58, 2.24, 2.92, 3.9]) * rng.uniform(0.95, 1.05, 5)
    decays_s = rng.uniform(0.02, 0.04) / ratios
    body = damped_modes((voice.pitch_hz * ratios).tolist(), [1, 0.8, 0.6, 0.4, 0.3], decays_s.tolist(), voice.samples)
    click = band_pass(noise(rng, voice.samples) * decay(voice.samples, 0.002), 800, 5000)
    return fade(body + 0.25 * click, 0.0005, 0.02)


def bark(rng: np.random.Generator, voice: Voice) -> Wave:
    """A dog's bark: a hoarse voice that jumps up and falls, through two formants of its throat."""
    contour = line([0.7, 1.1, 1.0, 0.75, 0.55], voice.samples)
    jitter = 1 + 0.03 * wander(rng, voice.samples, 120, -1, 1)
    weights = (1 / np.arange(1, 25) ** 0.6).tolist()
    source = tone(voice.pitch_hz * contour * jitter, weights) + 0.15 * noise(rng, voice.samples)
    throat_hz = 2.1 * voice.pitch_hz * rng.uniform(0.9, 1.1)
    voiced = band_pass(source, 0.75 * throat_hz, 1.3 * throat_hz) + 0.6 * band_pass(
        source, 1.8 * throat_hz, 2.4 * throat_hz
    )
    opening = line([0, 1, 0.95, 0.5, 0.15, 0], voice.samples)
    return fade(voiced * opening, 0.008, 0.03)


def drip(rng: np.random.Generator, voice: Voice) -> Wave:
    """A water drop: the air bubble it leaves rings, rising while it closes (Minnaert resonance)."""
    time_s = seconds(voice.samples)
    rise = rng.uniform(4, 9)
    bubble = tone(voice.pitch_hz * (1 + rise * time_s), [1.0]) * decay(voice.samples, rng.uniform(0.02, 0.035))
    splash = band_pass(noise(rng, voice.samples) * decay(voice.samples, 0.002), 3000, 9000)
    return fade(bubble + 0.2 * splash, 0.001, 0.02)


def footstep(rng: np.random.Generator, voice: Voice) -> Wave:
    """One step: the heel's thump on the ground, then the scrape of the sole."""
    thump = damped_modes([voice.pitch_hz, 1.7 * voice.pitch_hz], [1, 0.6], [0.03, 0.02], voice.samples)
    grit = noise(rng, voice.samples)
    heel = band_pass(grit * decay(voice.samples, 0.012), 100, 700)
    rolling = line([0, 0.1, 1, 0.7, 0.3, 0], voice.samples)
    sole = band_pass(grit * rolling, rng.uniform(1200, 1800), rng.uniform(3500, 5500))
    return fade(thump + 1.2 * heel + rng.uniform(0.25, 0.45) * sole, 0.001, 0.02)


def chirp(rng: np.random.Generator, voice: Voice) -> Wave:
    """A bird's chirp: a pure tone that sweeps fast, in a shape that its species keeps."""
    shapes = ([0.8, 1.25, 0.9], [1.3, 0.85], [0.8, 1.25], [1.1, 0.85, 1.2, 0.9])
    contour = line(shapes[rng.integers(len(shapes))], voice.samples)
    opening = line([0, 1, 0.8, 1, 0], voice.samples)
    return fade(tone(voice.pitch_hz * contour, [1, 0.1]) * opening, 0.005, 0.015)


def horn(rng: np.random.Generator, voice: Voice) -> Wave:
    """A car horn: two buzzing reeds, about a major third apart."""
    weights = (1 / np.arange(1, 20) ** rng.uniform(0.6, 1.0)).tolist()
    onset = np.minimum(1, 0.94 + 1.2 * seconds(voice.samples))
    reeds = tone(voice.pitch_hz * onset, weights) + tone(rng.uniform(1.24, 1.28) * voice.pitch_hz * onset, weights)
    return fade(reeds, 0.015, 0.03)


def whistle(rng: np.random.Generator, voice: Voice) -> Wave:
    """A pea whistle: a high tone that the rolling pea interrupts 25-40 times a second, and breath."""
    time_s = seconds(voice.samples)
    pea = np.sin(2 * np.pi * rng.uniform(25, 40) * time_s)
    blown = tone(voice.pitch_hz * (1 + 0.02 * pea), [1, 0.15, 0.05]) * (1 + 0.5 * pea)
    breath = band_pass(noise(rng, voice.samples), 0.8 * voice.pitch_hz, 1.3 * voice.pitch_hz)
    return fade(blown + 0.2 * breath, 0.02, 0.03)


def hoot(rng: np.random.Generator, voice: Voice) -> Wave:
    """An owl's hoot: a soft, nearly pure low tone that swells and sinks."""
    contour = line([0.93, 1.0, 1.0, 0.95], voice.samples)
    opening = np.sin(line([0, 3.1415], voice.samples)) ** np.float32(0.7)
    breath = band_pass(noise(rng, voice.samples), 0.7 * voice.pitch_hz, 1.5 * voice.pitch_hz)
    hooting = (tone(voice.pitch_hz * contour, [1, rng.uniform(0.1, 0.3), 0.05]) + 0.08 * breath) * opening
    return fade(hooting, 0.01, 0.01)


def clap(rng: np.random.Generator, voice: Voice) -> Wave:
    """Two hands: three bursts of noise within 20 ms, then the room."""
    delays_s = [0, rng.uniform(0.005, 0.009), rng.uniform(0.012, 0.018)]
    bursts = place(decay(voice.samples, 0.003), delays_s, [0.7, 0.8, 1], voice.samples)
    room = 0.3 * decay(voice.samples, rng.uniform(0.02, 0.035))
    palms = noise(rng, voice.samples) * (bursts + room)
    low_hz = rng.uniform(700, 1100)
    return fade(band_pass(palms, low_hz, 2.6 * low_hz), 0.0005, 0.02)


def ring(rng: np.random.Generator, voice: Voice) -> Wave:
    """An old telephone: a clapper beats two small bells in turn, 20 times a second."""
    time_s = seconds(voice.samples)
    beat = (time_s * rng.uniform(18, 24)) % 1  # 0 at every blow
    frequency_hz = np.full(voice.samples, voice.pitch_hz, np.float32)
    bells = tone(frequency_hz, [1, 0, 0.5]) * np.exp(-3 * beat)
    bells += tone(frequency_hz * 1.26, [1, 0, 0.4]) * np.exp(-3 * ((beat + 0.5) % 1))
    return fade(bells, 0.005, 0.08)
