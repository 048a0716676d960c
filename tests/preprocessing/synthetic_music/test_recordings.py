from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from preprocessing.synthetic_music.discography import plan_track
from preprocessing.synthetic_music.instruments import SAMPLE_RATE_HZ
from preprocessing.synthetic_music.recordings import _in_a_hall, render, take_of


def likeness(one, other):
    """The highest correlation of two recordings over all shifts."""
    one, other = (wave / np.linalg.norm(wave) for wave in (one, other))
    return float(np.abs(signal.correlate(one, other, method="fft")).max())


def test_a_track_is_the_same_each_time_and_has_the_length_of_its_take():
    plan = plan_track(0, 0, 0)
    wave = render(plan)
    assert wave.dtype == np.float32
    assert len(wave) == round(take_of(plan).duration_s * SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(wave, render(plan))


def test_levels_and_lengths_do_not_tell_the_genre():
    plans = [plan_track(0, 2, index) for index in range(240)]
    takes = [take_of(plan) for plan in plans]
    genres = np.array([plan.artist.genre.genre_id for plan in plans])
    for name in ("level_db", "hiss_db", "tilt", "duration_s"):
        values = np.array([getattr(take, name) for take in takes])
        within = np.mean([values[genres == genre].std() for genre in np.unique(genres)])
        assert within > 0.93 * values.std(), name


@pytest.mark.parametrize("index", [0, 5, 8])
def test_a_track_has_the_level_of_its_take_and_is_nowhere_silent(index):
    plan = plan_track(0, 0, index)
    wave = render(plan)
    peak, level_db = np.abs(wave).max(), 10 * np.log10(np.mean(wave**2))
    assert peak <= 0.981
    assert level_db == pytest.approx(take_of(plan).level_db, abs=0.1) or peak > 0.97
    assert (np.abs(wave[: len(wave) // 100 * 100]).reshape(-1, 100).max(axis=1) > 0).all()


def test_a_remaster_and_a_reissue_are_the_same_performance_and_a_live_recording_is_not():
    original, remaster = plan_track(0, 0, 9), plan_track(0, 0, 13)
    assert remaster.version == "remaster"
    assert likeness(render(original), render(remaster)) > 0.5
    issued, reissue = plan_track(0, 0, 16), plan_track(0, 0, 17)
    assert likeness(render(issued), render(reissue)) > 0.5
    live = plan_track(0, 0, 4)
    assert live.version == "live"
    assert likeness(render(plan_track(0, 0, 0)), render(live)) < 0.3


def test_a_hall_has_reverberation_and_an_audience():
    click = np.zeros(4 * SAMPLE_RATE_HZ, np.float32)
    click[SAMPLE_RATE_HZ] = 1
    wave = _in_a_hall(np.random.default_rng(0), click) ** 2
    before, tail, later = (
        wave[round(start * SAMPLE_RATE_HZ) :][: SAMPLE_RATE_HZ // 20].mean() for start in (0.9, 1.01, 2.5)
    )
    assert tail > 3 * before
    assert before > 0
    assert later > 0
