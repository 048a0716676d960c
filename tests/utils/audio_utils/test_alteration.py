"""Copies of a recording: how loud, how long and how large they are, and that an MP3 is decoded as it was."""

import numpy as np
import pytest

from utils.audio_utils import probe, read_wave
from utils.audio_utils.alteration import MP3_RATES_HZ, mp3_rate, softer, without_start, write_mp3


def tone(rate_hz, seconds=2.0):
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def test_ten_decibels_less_are_a_tenth_of_the_power():
    wave = tone(8000)
    assert np.square(softer(wave, 10.0)).sum() == pytest.approx(0.1 * np.square(wave).sum(), rel=1e-5)
    assert softer(wave, 10.0).dtype == np.float32


def test_the_start_is_cut_off():
    wave = np.arange(10, dtype=np.float32)
    assert without_start(wave, 2, 3.0).tolist() == [6, 7, 8, 9]
    assert len(without_start(wave, 2, 6.0)) == 0


@pytest.mark.parametrize(("found", "expected"), [(8000, 8000), (8001, 11_025), (44_100, 44_100), (96_000, 48_000)])
def test_the_rate_of_a_copy_loses_nothing(found, expected):
    assert mp3_rate(found) == expected


@pytest.mark.parametrize("rate_hz", MP3_RATES_HZ)
def test_an_mp3_has_its_bit_rate_and_is_decoded_as_the_wave(rate_hz, tmp_path):
    wave = tone(rate_hz)
    write_mp3(tmp_path / "copy.mp3", wave, rate_hz, 64)
    facts = probe(tmp_path / "copy.mp3")
    assert (facts.sample_rate_hz, facts.channels) == (rate_hz, 1)
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)
    assert (tmp_path / "copy.mp3").stat().st_size == pytest.approx(64_000 / 8 * 2, rel=0.12)
    decoded = read_wave(tmp_path / "copy.mp3", rate_hz)
    middle = slice(len(wave) // 4, len(wave) // 2)  # the encoder softens it by 5 %
    assert np.corrcoef(decoded[middle], wave[middle])[0, 1] > 0.99
