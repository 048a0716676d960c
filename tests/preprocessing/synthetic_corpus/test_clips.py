from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest

from preprocessing.synthetic_corpus.clips import plan_clip, render
from preprocessing.synthetic_corpus.scenes import Event
from preprocessing.synthetic_corpus.synthesis import SAMPLE_RATE_HZ, Wave, active_rms


class Clip(NamedTuple):
    wave: Wave
    events: tuple[Event, ...]
    captions: tuple[str, ...]


def render_clip(seed: int, split_number: int, index: int) -> Clip:
    plan = plan_clip(seed, split_number, index)
    return Clip(render(plan), plan.scene.events, plan.captions)


@pytest.fixture(scope="module")
def clips():
    return [render_clip(0, 2, index) for index in range(60)]


def test_a_clip_depends_on_its_three_numbers_alone():
    here = render_clip(3, 1, 7)
    render_clip(3, 1, 8)
    again = render_clip(3, 1, 7)
    np.testing.assert_array_equal(here.wave, again.wave)
    assert here.captions == again.captions
    for other in (render_clip(4, 1, 7), render_clip(3, 0, 7), render_clip(3, 1, 8)):
        assert other.captions != here.captions


def test_waves_are_sound_and_never_clip(clips):
    for clip in clips:
        assert clip.wave.dtype == np.float32
        assert clip.wave.ndim == 1
        assert 2 <= len(clip.wave) / SAMPLE_RATE_HZ <= 10
        assert np.abs(clip.wave).max() <= 0.99
        tenths = clip.wave[: len(clip.wave) // 4410 * 4410].reshape(-1, 4410)
        assert tenths.std(axis=1).min() > 1e-4, "even pauses hold a faint noise"


def test_events_stand_out_where_they_are_said_to_be(clips):
    for clip in clips:
        rate = SAMPLE_RATE_HZ
        quiet = clip.wave[: round(min(event.start_s for event in clip.events) * rate)]
        for event in clip.events:
            heard = clip.wave[round(event.start_s * rate) : round(event.end_s * rate)]
            assert active_rms(heard) > 4 * np.sqrt(np.mean(quiet**2))


def test_loudness_words_can_be_heard(clips):
    levels_db = {"quiet": [], "moderate": [], "loud": []}
    for clip in clips:
        spans = sorted((event.start_s, event.end_s) for event in clip.events)
        if all(end <= start for (_, end), (start, _) in itertools.pairwise(spans)):  # nothing overlaps
            for event in clip.events:
                part = clip.wave[round(event.start_s * 44_100) : round(event.end_s * 44_100)]
                levels_db[event.loudness].append(20 * math.log10(active_rms(part)))
    assert min(map(len, levels_db.values())) >= 10
    assert max(levels_db["quiet"]) + 5 < min(levels_db["moderate"])
    assert max(levels_db["moderate"]) + 5 < min(levels_db["loud"])


def test_a_plan_knows_the_length_of_its_clip():
    plan = plan_clip(0, 0, 5)
    assert len(render(plan)) == plan.samples
