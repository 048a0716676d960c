"""The plan of a track in samples: the mix, and what a live recording, a remaster and a reissue change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from preprocessing.synthetic_music.discography import TrackPlan, Version
from preprocessing.synthetic_music.instruments import SAMPLE_RATE_HZ, Wave, play, strike
from preprocessing.synthetic_music.songs import perform
from preprocessing.synthetic_music.styles import Drum

_PLAYED_S = 11.5  # the longest excerpt ends before
_DRUMS: tuple[Drum, ...] = ("kick", "snare", "hat", "ride", "shaker", "tom")
_LAYER_GAINS = (0.5, 0.9, 1.0)  # chords have three notes at once


@dataclass(frozen=True)
class Take:
    """How a track is recorded; nothing of it says the genre.

    Attributes:
        start_s: where the excerpt begins in the song.
        duration_s: of the excerpt.
        level_db: RMS below full scale.
        hiss_db: level of the noise below the music.
        tilt: coefficient of the filter that makes it darker (above 0) or brighter.
        tempo_factor: of the performance.
    """

    start_s: float
    duration_s: float
    level_db: float
    hiss_db: float
    tilt: float
    tempo_factor: float


def take_of(plan: TrackPlan) -> Take:
    """How a track is recorded."""
    return _draw_take(np.random.default_rng(plan.recording), plan.version)


def _draw_take(rng: np.random.Generator, version: Version) -> Take:
    """Draw how a version of a song is recorded; a remaster and a reissue begin elsewhere in the same performance."""
    start_s = rng.uniform(0, 0.7) if version in ("original", "live") else rng.uniform(1.0, 2.5)
    tempo_factor = float(rng.choice([rng.uniform(0.94, 0.97), rng.uniform(1.03, 1.06)])) if version == "live" else 1.0
    return Take(
        start_s,
        rng.uniform(7.0, 8.5),
        rng.uniform(-28, -15),
        rng.uniform(-55, -28),
        rng.uniform(-0.35, 0.35),
        tempo_factor,
    )


def render(plan: TrackPlan) -> Wave:
    """The sound of a plan. Returns: (S,) float32 at `SAMPLE_RATE_HZ`, peak at most 0.98, nowhere digital silence."""
    rng = np.random.default_rng(plan.recording)
    take = _draw_take(rng, plan.version)
    music = _mix(plan, take.tempo_factor)
    start, samples = round(take.start_s * SAMPLE_RATE_HZ), round(take.duration_s * SAMPLE_RATE_HZ)
    if plan.version == "live":
        music = _in_a_hall(rng, music)
    wave: Wave = music[start : start + samples] / _rms(music)
    if plan.version == "remaster":  # louder where it was soft
        wave = np.tanh(1.5 * wave) / 1.5
    wave = signal.lfilter(np.ones(1, np.float32), np.array([1.0, -take.tilt], np.float32), wave)
    wave += np.float32(10 ** (take.hiss_db / 20)) * rng.standard_normal(samples, dtype=np.float32)
    wave *= np.float32(10 ** (take.level_db / 20) / _rms(wave))
    peak = float(np.abs(wave).max())
    return wave if peak <= 0.98 else wave * np.float32(0.98 / peak)


def _mix(plan: TrackPlan, tempo_factor: float) -> Wave:
    """The song as it is played, before it is recorded."""
    artist, rng = plan.artist, np.random.default_rng(plan.performance)
    performance = perform(rng, plan.song, artist, tempo_factor, _PLAYED_S)
    samples = round(_PLAYED_S * SAMPLE_RATE_HZ)
    band = np.zeros(samples, np.float32)
    for name, notes, gain in zip(plan.song.instruments, performance.layers, _LAYER_GAINS, strict=True):
        band += np.float32(gain) * play(rng, name, notes, artist.brightness, samples)
    drums = np.zeros(samples, np.float32)
    for drum, hits in performance.strikes.items():
        drums += strike(rng, drum, artist.kit[_DRUMS.index(drum)], hits, samples)
    loudness = max(_rms(drums), 1e-6)
    return band / _rms(band) + drums * np.float32(10 ** (artist.drum_db / 20) / loudness)


def _in_a_hall(rng: np.random.Generator, music: Wave) -> Wave:
    """The music with the reverberation of a hall and its audience."""
    time = np.arange(round(1.2 * SAMPLE_RATE_HZ), dtype=np.float32) / np.float32(SAMPLE_RATE_HZ)
    tail = rng.standard_normal(len(time), dtype=np.float32) * np.exp(-time / np.float32(rng.uniform(0.12, 0.3)))
    tail *= np.float32(rng.uniform(0.4, 0.8)) / np.linalg.norm(tail)
    wet = music + signal.oaconvolve(music, tail)[: len(music)].astype(np.float32)
    sections = signal.butter(1, (300, 3000), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    crowd = signal.sosfilt(sections.astype(np.float32), rng.standard_normal(len(music), dtype=np.float32))
    swell = np.interp(np.arange(len(music)), np.linspace(0, len(music), 12), rng.uniform(0.2, 1, 12))
    crowd = (crowd * swell).astype(np.float32)
    return wet / _rms(wet) + crowd * np.float32(10 ** (rng.uniform(-22, -12) / 20) / _rms(crowd))


def _rms(wave: Wave) -> float:
    return float(np.sqrt(np.mean(np.square(wave))))
