from __future__ import annotations

import math

import numpy as np
import pytest

from preprocessing.synthetic_corpus import synthesis
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def peak_hz(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return int(spectrum.argmax()) * SAMPLE_RATE_HZ / len(wave)


def test_noise_is_white_with_rms_1(rng):
    wave = synthesis.noise(rng, 100_000)
    assert wave.dtype == np.float32
    assert math.sqrt(np.mean(wave**2)) == pytest.approx(1, rel=0.01)
    power = np.abs(np.fft.rfft(wave)) ** 2
    assert power[:25_000].mean() == pytest.approx(power[25_000:].mean(), rel=0.05)


@pytest.mark.parametrize(("low_hz", "high_hz"), [(0, 500), (500, 2000), (2000, 20_000)])
def test_band_pass_keeps_its_band(rng, low_hz, high_hz):
    wave = synthesis.band_pass(synthesis.noise(rng, SAMPLE_RATE_HZ), low_hz, high_hz)
    power = np.abs(np.fft.rfft(wave)) ** 2  # one bin a hertz
    inside = power[max(low_hz, 20) : high_hz].mean()
    outside = [power[4 * high_hz :], power[1 : low_hz // 4]]
    assert wave.dtype == np.float32
    assert all(part.mean() < inside / 50 for part in outside if part.size)


def test_damped_modes_equal_the_sum_of_sines_written_out():
    frequencies_hz, amplitudes, decays_s = [440.0, 1234.5], [1.0, 0.3], [0.2, 0.05]
    wave = synthesis.damped_modes(frequencies_hz, amplitudes, decays_s, 10_001)
    time_s = np.arange(10_001) / SAMPLE_RATE_HZ
    expected = sum(
        a * np.exp(-time_s / d) * np.sin(2 * np.pi * f * time_s)
        for f, a, d in zip(frequencies_hz, amplitudes, decays_s, strict=True)
    )
    np.testing.assert_allclose(wave, expected, atol=1e-6)


def test_tone_follows_its_pitch_and_leaves_out_what_would_alias():
    flat = np.full(SAMPLE_RATE_HZ, 3000, np.float32)
    wave = synthesis.tone(flat, [1.0] + [0.5] * 30)
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    harmonics = {number * 3000 + offset for number in range(1, 7) for offset in range(-3, 4)}
    others = [power[hz] for hz in range(100, 20_000) if hz not in harmonics]
    assert peak_hz(wave) == pytest.approx(3000, abs=1)
    assert np.abs(wave).max() <= 1
    assert max(others) < power[3000] * 1e-4


def test_place_adds_copies_and_cuts_at_the_end():
    sound = np.ones(SAMPLE_RATE_HZ // 10, np.float32)
    wave = synthesis.place(sound, [0.0, 0.05, 0.15], [1, 2, 4], SAMPLE_RATE_HZ // 5)
    assert wave[0] == 1
    assert wave[SAMPLE_RATE_HZ * 6 // 100] == 3
    assert wave[-1] == 4


def test_fade_starts_at_0_and_ends_at_0():
    wave = synthesis.fade(np.ones(1000, np.float32), 0.005, 0.005)
    assert wave[0] == 0
    assert wave[-1] == pytest.approx(0, abs=1e-6)
    assert wave[500] == 1


def test_active_rms_leaves_pauses_out():
    half = np.concatenate([np.full(SAMPLE_RATE_HZ // 2, 0.5), np.zeros(SAMPLE_RATE_HZ // 2)]).astype(np.float32)
    assert synthesis.active_rms(half) == pytest.approx(0.5, rel=0.01)
    assert synthesis.active_rms(np.zeros(5000, np.float32)) == 0


def test_at_level_sets_the_level_and_rounds_off_peaks(rng):
    wave = synthesis.noise(rng, SAMPLE_RATE_HZ)
    assert 20 * math.log10(synthesis.active_rms(synthesis.at_level(wave, -20))) == pytest.approx(-20, abs=0.01)
    loud = synthesis.at_level(wave, -3)
    assert 0.8 < np.abs(loud).max() < 0.99
    assert np.all(np.diff(loud[np.argsort(wave)]) >= 0), "rounding off keeps the order of samples"
