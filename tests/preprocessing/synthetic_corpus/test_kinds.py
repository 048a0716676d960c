"""Properties that every recipe must have, measured on its sound."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

from preprocessing.synthetic_corpus import scenes
from preprocessing.synthetic_corpus.kinds import KINDS, LEVEL_DB, LEVEL_JITTER_DB, sound
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ, at_level

COUNTED = [name for name, kind in KINDS.items() if kind.counted]
PITCHED = [name for name, kind in KINDS.items() if len(kind.pitch_hz) > 1]


def draw(name, repeats, salt=0):
    """Events of a kind with their sounds, at -20 dB."""
    rng = np.random.default_rng([salt, zlib.crc32(name.encode())])
    for _ in range(repeats):
        event = scenes.draw_event(rng, name, "loud")
        yield event, at_level(sound(rng, KINDS[name], event.voice, event.count), -20)


def onsets(wave):
    """Onsets: frames at least 6 dB louder than one of the five before, and near the loudest of all."""
    frame = 882
    sharpened = np.concatenate([np.zeros(6 * frame), np.diff(wave)])
    frames = sharpened[: len(sharpened) // frame * frame].reshape(-1, frame)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    level_db = np.maximum(level_db, level_db.max() - 30)
    found = [-99]
    for number in range(5, len(level_db)):
        rises = level_db[number] - level_db[number - 5 : number].min() > 6
        if rises and level_db[number] > level_db.max() - 12 and number - found[-1] > 8:
            found.append(number)
    return len(found) - 1


def spectral_centre_hz(wave):
    """The frequency that halves the energy."""
    size = 2 ** (len(wave) - 1).bit_length()  # other lengths take far longer
    energy = np.cumsum(np.abs(np.fft.rfft(wave, size)) ** 2)
    return float(np.searchsorted(energy, energy[-1] / 2)) * SAMPLE_RATE_HZ / size


def fingerprint(wave):
    """Level of 24 bands, its mean over time and its change between frames: (72,)."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 1024)[::882] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(2, power.shape[1], 25).astype(int))
    bands = np.log(np.stack([power[:, a:b].mean(1) for a, b in itertools.pairwise(edges)], 1) + 1e-4)
    return np.concatenate([bands.mean(0), bands.max(0), np.abs(np.diff(bands, axis=0)).mean(0)])


def test_there_are_many_kinds_and_half_can_be_counted():
    assert len(KINDS) >= 20
    assert len(COUNTED) >= 10


@pytest.mark.parametrize("name", KINDS)
def test_sounds_are_finite_and_as_long_as_their_event(name):
    for event, wave in draw(name, repeats=4):
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert len(wave) == pytest.approx(event.duration_s * SAMPLE_RATE_HZ, abs=2)
        assert np.abs(wave[[0, -1]]).max() < 0.05, "starts and ends without a click"
        assert event.voice.duration_s >= 0.1


@pytest.mark.parametrize("name", KINDS)
def test_no_two_instances_are_alike(name):
    (_, one), (_, other) = draw(name, repeats=2)
    shorter = min(len(one), len(other))
    assert not np.allclose(one[:shorter], other[:shorter], atol=1e-3)


@pytest.mark.parametrize("name", COUNTED)
def test_strikes_can_be_counted(name):
    pairs = [(event.count, onsets(wave)) for event, wave in draw(name, repeats=12)]
    assert [heard for _, heard in pairs] == [count for count, _ in pairs]
    assert len({count for count, _ in pairs}) >= 3


@pytest.mark.parametrize("name", PITCHED)
def test_pitch_words_follow_the_spectrum(name):
    centres_hz = {pitch: [] for pitch in KINDS[name].pitch_hz}
    for event, wave in draw(name, repeats=24):
        centres_hz[event.pitch].append(spectral_centre_hz(wave))
    assert max(centres_hz["low"]) < min(centres_hz["high"])
    assert np.median(centres_hz["low"]) < np.median(centres_hz["mid"]) < np.median(centres_hz["high"])


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if "slow" in kind.rate_hz])
def test_slow_is_clearly_slower_than_fast(name):
    rates_hz = KINDS[name].rate_hz
    assert rates_hz["slow"][1] * 1.5 < rates_hz["fast"][0]


def test_loudness_words_never_meet():
    levels = list(LEVEL_DB.values())
    assert levels == sorted(levels)
    assert min(np.diff(levels)) - 2 * LEVEL_JITTER_DB >= 7


def test_kinds_can_be_told_apart():
    names = list(KINDS)
    known = np.array([fingerprint(wave) for name in names for _, wave in draw(name, repeats=8)])
    asked = np.array([fingerprint(wave) for name in names for _, wave in draw(name, repeats=2, salt=1)])
    scale = known.std(axis=0)
    distances = np.linalg.norm((asked[:, None] - known[None]) / scale, axis=2)  # (Q, C)
    right = distances.argmin(axis=1) // 8 == np.repeat(np.arange(len(names)), 2)
    assert right.mean() > 0.9
