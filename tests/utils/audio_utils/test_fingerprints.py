from __future__ import annotations

import numpy as np
import pytest

from tests.utils.audio_utils.encoding import encode
from utils.audio_utils import read_wave
from utils.audio_utils.fingerprints import SAMPLE_RATE_HZ, Fingerprint, fingerprint, similar_pairs

RATE = 22_050


def melody(seed, seconds=8.0, rate=RATE, tones=(220.0, 2000.0)):
    """Notes of random pitches at random times."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    wave = 1e-4 * rng.standard_normal(len(time))
    for onset, pitch in zip(
        rng.uniform(0, seconds, int(6 * seconds)), rng.uniform(*tones, int(6 * seconds)), strict=True
    ):
        sounding = np.maximum(0, time - onset)
        wave += 0.1 * np.sin(2 * np.pi * pitch * sounding) * np.exp(-sounding / 0.15) * (time >= onset)
    return wave.astype(np.float32)


def softer(wave, path):
    return wave * np.float32(10**-0.5)


def coded(wave, path):
    encode(path / "a.mp3", wave, RATE, container="mp3", codec="libmp3lame", codec_options={"b": "64000"})
    return read_wave(path / "a.mp3", RATE)


def cut(wave, path):
    return wave[3 * RATE + 77 :]


def all_of_it(wave, path):
    return coded(softer(cut(wave, path), path), path)


@pytest.fixture(scope="module")
def prints():
    return [fingerprint(melody(seed), RATE) for seed in range(12)]


@pytest.mark.parametrize(("change", "offset_s"), [(softer, 0.0), (coded, 0.0), (cut, -3.0), (all_of_it, -3.0)])
def test_a_copy_is_found_among_others(prints, tmp_path, change, offset_s):
    copy = fingerprint(change(melody(5), tmp_path), RATE)
    (pair,) = similar_pairs([*prints, copy])
    assert (pair.first, pair.second) == (5, 12)
    assert 0.5 < pair.score <= 1
    assert pair.offset_s == pytest.approx(offset_s, abs=0.04)


def test_a_recording_at_another_sample_rate_is_found(prints):
    import soxr

    (pair,) = similar_pairs([*prints, fingerprint(soxr.resample(melody(5), RATE, 44_100), 44_100)])
    assert (pair.first, pair.second) == (5, 12)
    assert pair.score > 0.6


def test_different_recordings_of_one_kind_are_not_similar():
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    notes = []
    for _ in range(20):  # one note of one instrument, played 20 times: each partial sounds and swells as it does
        note = 1e-3 * rng.standard_normal(len(time))
        for harmonic in range(1, 12):
            knots = np.concatenate([[0], np.sort(rng.uniform(0.02, 2, 8)), [2]])
            swell = np.interp(time, knots, [0, *rng.uniform(0.3, 1, 8), 0]) / harmonic
            note += swell * np.sin(2 * np.pi * 330 * harmonic * time + rng.uniform(0, 6))
        notes.append(note.astype(np.float32))
    assert similar_pairs([fingerprint(note, RATE) for note in notes]) == []


def test_a_fingerprint_does_not_depend_on_the_gain():
    one, other = (fingerprint(melody(1) * np.float32(gain), RATE) for gain in (1, 0.25))
    np.testing.assert_array_equal(one.hashes, other.hashes)
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.audible, other.audible)
    assert np.bitwise_count(one.bits ^ other.bits).mean() < 0.1  # of 32: rounding


def test_an_excerpt_has_the_landmarks_of_its_place():
    whole = melody(3, rate=SAMPLE_RATE_HZ)
    start = 200 * 256  # whole frames
    (pair,) = similar_pairs([fingerprint(whole[start:], SAMPLE_RATE_HZ), fingerprint(whole, SAMPLE_RATE_HZ)])
    assert pair.offset_s == pytest.approx(start / SAMPLE_RATE_HZ)
    assert pair.score > 0.9


@pytest.mark.parametrize("wave", [np.zeros(RATE, np.float32), np.zeros(0, np.float32), np.ones(10, np.float32)])
def test_silence_and_what_is_shorter_than_a_window_are_similar_to_nothing(prints, wave):
    empty = fingerprint(wave, RATE)
    assert len(empty.hashes) == len(empty.frames) == 0
    assert similar_pairs([empty, empty]) == []
    assert similar_pairs([empty, *prints[:2], empty]) == []
    assert similar_pairs([]) == []


def with_hashes(hashes, frames):
    """A fingerprint whose bits are those of any other."""
    values = np.asarray(hashes, np.uint32), np.asarray(frames, np.int32)
    return Fingerprint(*values, np.zeros(100, np.uint32), np.ones(100, np.bool_))


def by_definition(prints, min_votes):
    """The pairs, one comparison after the other."""
    found = []
    for first, one in enumerate(prints):
        for second in range(first + 1, len(prints)):
            other = prints[second]
            votes = {}
            for h, t in zip(one.hashes, one.frames, strict=True):
                for u in other.frames[other.hashes == h]:
                    votes[int(u - t)] = votes.get(int(u - t), 0) + 1
            merged = {shift: count + votes.get(shift + 1, 0) for shift, count in votes.items()}
            if merged and max(merged.values()) >= min_votes:
                found.append((first, second, max(merged.values())))
    return found


def test_pairs_are_those_of_the_definition_whatever_the_size_of_a_block(monkeypatch):
    rng = np.random.default_rng(0)

    def drawn(count):
        return with_hashes(rng.integers(0, 15, count), np.sort(rng.integers(0, 50, count)))

    prints = [drawn(count) for count in (20, 0, 30, 1, 25, 30)]
    expected = by_definition(prints, 3)
    assert len(expected) > 3
    for block in (1, 50, 1 << 22):
        monkeypatch.setattr("utils.audio_utils.fingerprints._BLOCK", block)
        pairs = similar_pairs(prints, min_score=0.0, min_votes=3)
        assert [pair[:2] for pair in pairs] == [pair[:2] for pair in expected]


def test_landmarks_of_very_many_recordings_say_nothing():
    hum = with_hashes(np.full(20, 7), np.arange(20))
    assert len(similar_pairs([hum] * 5)) == 10
    assert similar_pairs([hum] * 6) == []
