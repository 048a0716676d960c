from __future__ import annotations

import numpy as np
import pytest

from preprocessing.synthetic_music.instruments import _DRUMS, INSTRUMENTS, SAMPLE_RATE_HZ, play, strike
from preprocessing.synthetic_music.songs import Notes


def note(name, pitch=69.0, onset_s=0.0, duration_s=1.0, brightness=1.0):
    notes = Notes(*(np.array([value]) for value in (onset_s, duration_s, pitch, 1.0)))
    return play(np.random.default_rng(0), name, notes, brightness, 2 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_note_has_the_pitch_and_the_place_that_is_asked_for(name):
    wave = note(name, onset_s=0.5)
    assert wave.dtype == np.float32
    assert not wave[: SAMPLE_RATE_HZ // 2].any()
    assert not wave[round(1.56 * SAMPLE_RATE_HZ) :].any()
    spectrum = np.abs(np.fft.rfft(wave[SAMPLE_RATE_HZ // 2 : SAMPLE_RATE_HZ * 3 // 2]))
    assert np.argmax(spectrum[:600]) == pytest.approx(440, abs=3)  # bins of 1 Hz


def test_a_brighter_artist_has_stronger_harmonics():
    share = []
    for brightness in (0.7, 1.3):
        power = np.abs(np.fft.rfft(note("saw", brightness=brightness))) ** 2
        share.append(power[2000:].sum() / power.sum())
    assert share[0] > 2 * share[1]


def test_no_harmonic_comes_back_below():
    high = np.abs(np.fft.rfft(note("saw", pitch=105.0)[:SAMPLE_RATE_HZ])) ** 2  # 3520 Hz
    assert high[:3400].sum() < 1e-3 * high.sum()


def test_notes_add_up_and_those_past_the_end_are_cut():
    both = Notes(np.array([0.2, 1.9]), np.array([0.5, 3.0]), np.array([60.0, 64.0]), np.array([1.0, 0.5]))
    wave = play(np.random.default_rng(0), "organ", both, 1.0, 2 * SAMPLE_RATE_HZ)
    expected = note("organ", 60.0, 0.2, 0.5) + 0.5 * note("organ", 64.0, 1.9, 0.05)
    np.testing.assert_allclose(
        wave[: round(1.93 * SAMPLE_RATE_HZ)], expected[: round(1.93 * SAMPLE_RATE_HZ)], atol=1e-6
    )


@pytest.mark.parametrize("drum", _DRUMS)
def test_strikes_are_where_they_are_asked_for_and_scale_with_their_gain(drum):
    hits = (np.array([0.25, 1.0, 9.0]), np.array([1.0, 0.5, 1.0]))
    wave = strike(np.random.default_rng(0), drum, 1.0, hits, 2 * SAMPLE_RATE_HZ)
    first, second = (wave[round(s * SAMPLE_RATE_HZ) :][: SAMPLE_RATE_HZ // 10] for s in (0.25, 1.0))
    assert np.abs(wave[: round(0.249 * SAMPLE_RATE_HZ)]).max() < 1e-4
    np.testing.assert_allclose(second, 0.5 * first, atol=1e-4)
    assert np.abs(first).max() > 0.02
