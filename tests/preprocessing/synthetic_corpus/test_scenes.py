from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from preprocessing.synthetic_corpus.kinds import KINDS, LEVEL_DB
from preprocessing.synthetic_corpus.scenes import LONGEST_S, SHORTEST_S, draw_scene


@pytest.fixture(scope="module")
def drawn():
    return [draw_scene(np.random.default_rng([9, number])) for number in range(1500)]


def test_clips_last_2_to_10_s_about_5_in_the_mean(drawn):
    durations_s = [scene.duration_s for scene in drawn]
    assert min(durations_s) >= SHORTEST_S == 2
    assert max(durations_s) <= LONGEST_S == 10
    assert 4 < np.mean(durations_s) < 5.5


def test_events_lie_inside_their_clip(drawn):
    for scene in drawn:
        assert 1 <= len(scene.events) <= 3
        assert len({event.kind for event in scene.events}) == len(scene.events)
        for event in scene.events:
            assert 0 < event.start_s < event.end_s < scene.duration_s


def test_sequences_have_pauses_and_overlaps_enclose(drawn):
    for scene in drawn:
        if scene.layout.startswith("overlap"):
            front, back = scene.events[:2]
            assert back.start_s + 0.3 < front.start_s < front.end_s < back.end_s - 0.3
            assert LEVEL_DB[back.loudness] <= LEVEL_DB[front.loudness]
        if scene.layout == "overlap_then":
            assert scene.events[2].start_s > scene.events[1].end_s + 0.1
        if "sequence" in scene.layout:
            for earlier, later in itertools.pairwise(scene.events):
                assert later.start_s > earlier.end_s + 0.1


def test_words_fit_numbers(drawn):
    for event in (event for scene in drawn for event in scene.events):
        kind = KINDS[event.kind]
        low_hz, high_hz = kind.pitch_hz[event.pitch]
        assert low_hz <= event.voice.pitch_hz <= high_hz
        assert kind.counts[0] <= event.count <= kind.counts[1]
        assert abs(event.level_db - LEVEL_DB[event.loudness]) <= 1.5
        if event.count > 1 or not kind.counted:
            slowest_hz, fastest_hz = kind.rate_hz[event.speed]
            assert slowest_hz <= event.voice.rate_hz <= fastest_hz
        else:
            assert event.speed == "steady"


def test_kinds_are_balanced_and_all_attributes_occur(drawn):
    events = [event for scene in drawn for event in scene.events]
    kinds = Counter(event.kind for event in events)
    assert set(kinds) == set(KINDS)
    assert max(kinds.values()) < 3 * min(kinds.values())
    assert {event.loudness for event in events} == set(LEVEL_DB)
    assert {event.count for event in events} == {1, 2, 3, 4, 5}


def test_most_clips_differ_in_what_they_hold(drawn):
    contents = Counter(
        tuple((event.kind, event.count, event.loudness, event.pitch, event.speed) for event in scene.events)
        for scene in drawn[:200]
    )
    assert len(contents) > 190
