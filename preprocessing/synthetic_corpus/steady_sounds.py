"""Recipes of sounds that go on: each makes the whole sound, (S,) float32 with S = voice.samples."""

from __future__ import annotations

import numpy as np

from preprocessing.synthetic_corpus.synthesis import (
    SAMPLE_RATE_HZ,
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


def _beats(rng: np.random.Generator, voice: Voice, jitter: float) -> list[float]:
    """Onsets in seconds at voice.rate_hz, each off by up to `jitter` of a period."""
    onsets_s = np.arange(0.02, voice.duration_s - 0.05, 1 / voice.rate_hz)
    onsets_s[1:] += rng.uniform(-jitter, jitter, len(onsets_s) - 1) / voice.rate_hz
    onsets: list[float] = onsets_s.tolist()
    return onsets


def siren(rng: np.random.Generator, voice: Voice) -> Wave:
    """A siren: a bright tone that sweeps up and down between about 600 and 1500 Hz."""
    phase = (seconds(voice.samples) * voice.rate_hz + rng.uniform()) % 1
    height = 1 - np.abs(2 * phase - 1)  # a triangle, 0..1
    low_hz = rng.uniform(500, 700)
    return fade(tone(low_hz + height * rng.uniform(700, 1000), [1, 0.5, 0.35, 0.2, 0.1]), 0.05, 0.1)


def engine(rng: np.random.Generator, voice: Voice) -> Wave:
    """An engine: a train of firing pulses, never quite regular, through the exhaust's resonance."""
    firing_hz = voice.pitch_hz * (1 + 0.03 * wander(rng, voice.samples, 8, -1, 1))
    weights = 1 / np.arange(1, 40) ** 0.7 * rng.uniform(0.5, 1.5, 39)
    pulses = tone(firing_hz, weights.tolist())
    pulses = pulses * wander(rng, voice.samples, voice.pitch_hz / 2, 0.6, 1)
    exhaust = band_pass(pulses, 0.8 * voice.pitch_hz, 6 * voice.pitch_hz)
    return fade(exhaust + 0.05 * band_pass(noise(rng, voice.samples), 200, 3000), 0.15, 0.2)


def rain(rng: np.random.Generator, voice: Voice) -> Wave:
    """Rain: the hiss of thousands of drops, and the few near ones that are heard singly."""
    hiss = band_pass(noise(rng, voice.samples), rng.uniform(1200, 2000), 20_000)
    drops = np.zeros(voice.samples, np.float32)
    hits = rng.integers(0, voice.samples, round(voice.duration_s * rng.uniform(60, 150)))
    drops[hits] = rng.exponential(1, len(hits)).astype(np.float32) * 12
    near = band_pass(drops, rng.uniform(2500, 3500), rng.uniform(5000, 7000))
    return fade(hiss + near, 0.2, 0.25)


def wind(rng: np.random.Generator, voice: Voice) -> Wave:
    """Wind: low noise in gusts, with a howl that grows when the gust is strong."""
    gust = wander(rng, voice.samples, 1.5, 0.25, 1)
    low_hz = rng.uniform(80, 140)
    air = noise(rng, voice.samples)
    howl_hz = rng.uniform(350, 550)
    howl = band_pass(band_pass(air, 0.93 * howl_hz, 1.07 * howl_hz), 0.93 * howl_hz, 1.07 * howl_hz)
    return fade(band_pass(air, low_hz, 4 * low_hz) * gust + 4 * howl * gust**2, 0.2, 0.25)


def clock(rng: np.random.Generator, voice: Voice) -> Wave:
    """A clock: tick and tock, two short metallic clicks in turn."""
    length = round(0.05 * SAMPLE_RATE_HZ)
    base_hz = rng.uniform(2200, 3000)
    tick = damped_modes([base_hz, 1.9 * base_hz, 2.7 * base_hz], [1, 0.8, 0.6], [0.006, 0.004, 0.003], length)
    tock = damped_modes([0.8 * base_hz, 1.6 * base_hz], [1, 0.7], [0.007, 0.004], length)
    onsets_s = _beats(rng, voice, jitter=0)
    gains = rng.uniform(0.9, 1.1, len(onsets_s)).tolist()
    return place(tick, onsets_s[::2], gains[::2], voice.samples) + place(
        tock, onsets_s[1::2], gains[1::2], voice.samples
    )


def saw(rng: np.random.Generator, voice: Voice) -> Wave:
    """A hand saw: strokes of noise, each tooth a small bump; the pull is duller than the push."""
    strokes = seconds(voice.samples) * voice.rate_hz
    swing = np.sin(np.pi * strokes) ** 2
    push = np.where(strokes.astype(np.int32) % 2 == 0, np.float32(1), np.float32(0.02))
    pull = np.float32(1.02) - push
    teeth_phase = np.cumsum(swing, dtype=np.float64) * (2 * np.pi * rng.uniform(140, 240) / SAMPLE_RATE_HZ)
    teeth = 1 + 0.8 * np.sin(teeth_phase.astype(np.float32))
    rasp = noise(rng, voice.samples) * swing * teeth
    low_hz = rng.uniform(900, 1400)
    bright = band_pass(rasp * push, 1.6 * low_hz, 7 * low_hz)
    return fade(bright + 0.7 * band_pass(rasp * pull, low_hz, 3 * low_hz), 0.02, 0.05)


def waves(rng: np.random.Generator, voice: Voice) -> Wave:
    """Surf: noise that swells slowly, opens up when the wave breaks, and runs out hissing."""
    place_in_wave = (seconds(voice.samples) * voice.rate_hz + rng.uniform(0, 0.2)) % 1
    swell = np.where(place_in_wave < 0.45, (place_in_wave / 0.45) ** 2, ((1 - place_in_wave) / 0.55) ** 1.5)
    swell = (0.06 + swell).astype(np.float32)
    water = noise(rng, voice.samples)
    body = band_pass(water, 150, rng.uniform(700, 1000))
    spray = band_pass(water, 1500, 8000)
    return fade(1.5 * body * swell + spray * swell**2, 0.1, 0.25)


def insect(rng: np.random.Generator, voice: Voice) -> Wave:
    """A flying insect: the wing beat with many harmonics, coming and going."""
    wings_hz = voice.pitch_hz * (1 + 0.04 * wander(rng, voice.samples, 5, -1, 1))
    weights = (1 / np.arange(1, 16) ** rng.uniform(0.7, 1.0)).tolist()
    return fade(tone(wings_hz, weights) * wander(rng, voice.samples, 3, 0.35, 1), 0.15, 0.15)


def thunder(rng: np.random.Generator, voice: Voice) -> Wave:
    """Thunder: a crack, then a low rumble in claps that die away."""
    air = noise(rng, voice.samples)
    claps = wander(rng, voice.samples, 6, 0.1, 1) * decay(voice.samples, 0.45 * voice.duration_s)
    rumble = band_pass(band_pass(air, 0, 160), 0, 220)
    crack = band_pass(air * decay(voice.samples, rng.uniform(0.06, 0.12)), 200, 2500)
    return fade(8 * rumble * claps + crack, 0.005, 0.3)


def typing(rng: np.random.Generator, voice: Voice) -> Wave:
    """A keyboard: irregular key clicks, sharp on top with a dull thud of the key's bottom."""
    length = round(0.07 * SAMPLE_RATE_HZ)
    click = band_pass(noise(rng, length) * decay(length, 0.003), 2500, 9000)
    thud = damped_modes([rng.uniform(280, 400), rng.uniform(700, 1000)], [1, 0.5], [0.012, 0.006], length)
    release = np.roll(click, round(0.045 * SAMPLE_RATE_HZ)) * 0.4
    onsets_s = _beats(rng, voice, jitter=0.35)
    return place(click + 0.5 * thud + release, onsets_s, rng.uniform(0.5, 1, len(onsets_s)).tolist(), voice.samples)


def cricket(rng: np.random.Generator, voice: Voice) -> Wave:
    """A cricket: groups of three or four short pulses of one high tone, with pauses."""
    pulse = round(0.022 * SAMPLE_RATE_HZ)
    frequency_hz = np.full(pulse, rng.uniform(4200, 5200), np.float32)
    grain = fade(tone(frequency_hz, [1, 0.05]), 0.006, 0.008)
    pulses = int(rng.integers(3, 5))
    steps_s = np.arange(pulses) * 0.033
    onsets_s = [beat + step for beat in _beats(rng, voice, jitter=0.03) for step in steps_s]
    gains = np.resize(np.linspace(0.6, 1, pulses), len(onsets_s)).tolist()
    return place(grain, onsets_s, gains, voice.samples)


def helicopter(rng: np.random.Generator, voice: Voice) -> Wave:
    """A helicopter: the rotor chops the low noise of the air, ten or more times a second."""
    blade = (seconds(voice.samples) * voice.rate_hz) % 1
    chop = np.exp(-5 * blade) + np.float32(0.08)
    air = noise(rng, voice.samples)
    rotor = 2.5 * band_pass(air, 50, rng.uniform(250, 350)) + 0.6 * band_pass(air, 400, 2500)
    distance = line(rng.uniform(0.6, 1, 3).tolist(), voice.samples)
    return fade(rotor * chop * distance, 0.2, 0.25)
