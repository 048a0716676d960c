from __future__ import annotations

from dataclasses import replace

import numpy as np

from preprocessing.synthetic_music.artists import draw_artist
from preprocessing.synthetic_music.songs import draw_song, perform
from preprocessing.synthetic_music.styles import GENRES

ELECTRONIC = GENRES[0]


def played(tempo_factor=1.0, **changes):
    """A song at 120 bpm (a sixteenth takes 0.125 s) by an artist who plays in time and in tune."""
    rng = np.random.default_rng(0)
    artist = replace(
        draw_artist(rng, 1, ELECTRONIC), looseness_s=0.0, swing=0.0, tuning_cents=0.0, scale=(0, 2, 4, 5, 7, 9, 11)
    )
    song = replace(draw_song(rng, artist, 0.0), tempo_bpm=120.0, key=48, progression=(0, 5, 3, 4))
    return perform(rng, replace(song, **changes.pop("song", {})), replace(artist, **changes), tempo_factor, 8.0)


def steps(*struck):
    return np.isin(np.arange(32), struck)


def test_strikes_fall_on_the_steps_of_their_pattern():
    onsets, gains = played(song={"drums": {"kick": steps(0, 8, 31)}}).strikes["kick"]
    np.testing.assert_allclose(onsets, [0.0, 1.0, 3.875, 4.0, 5.0, 7.875])
    assert ((gains > 0.5) & (gains <= 1)).all()


def test_a_faster_performance_has_shorter_steps():
    onsets, _ = played(1.25, song={"drums": {"kick": steps(0, 8)}}).strikes["kick"]
    np.testing.assert_allclose(onsets, [0.0, 0.8, 3.2, 4.0, 6.4, 7.2])


def test_swing_delays_every_second_step():
    onsets, _ = played(swing=0.5, song={"drums": {"kick": steps(0, 1, 2)}}).strikes["kick"]
    np.testing.assert_allclose(onsets[:3], [0.0, 0.125 * 1.5, 0.25])


def test_the_bass_plays_the_tonics_of_the_progression_and_holds_them_at_most_four_steps():
    bass = played(song={"bass": steps(0, 2, 16)}).layers[2]
    np.testing.assert_allclose(bass.onsets_s, [0.0, 0.25, 2.0, 4.0, 4.25, 6.0])
    np.testing.assert_allclose(bass.pitches, [48, 48, 57, 53, 53, 55])  # degrees 0, 0, 5, 3, 3, 4 of C major
    np.testing.assert_allclose(bass.durations_s[:3], [0.25, 0.5, 0.5])


def test_the_lead_plays_the_melody_above_the_chords():
    melody = np.zeros(32, np.int64)
    melody[4] = 7  # an octave
    lead = played(song={"lead": steps(0, 4), "melody": melody}).layers[1]
    np.testing.assert_allclose(lead.pitches[:2], [72, 84])


def test_an_arpeggio_and_chords_have_the_notes_of_a_triad():
    np.testing.assert_allclose(played().layers[0].pitches[:6], [60, 64, 67, 72, 67, 64])
    held = played(song={"genres": (GENRES[1],)}).layers[0]
    np.testing.assert_allclose(held.onsets_s[:6], [0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(held.pitches[:3], [60, 64, 67])
    np.testing.assert_allclose(held.durations_s[:3], 1.0)
