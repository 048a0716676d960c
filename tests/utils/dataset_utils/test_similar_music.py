"""Recordings that are nearly the same are listed, whatever they are called."""

import csv

import numpy as np
import pytest
import soundfile
import soxr

from tests.preprocessing.music_corpus import Corpus
from utils.artefact_utils.similar_tracks import read_similar_tracks
from utils.audio_utils import decoding, probe, read_window
from utils.dataset_utils import music_tables, similar_music

RATE_HZ = 22_050
NAMES = ("song.flac", "other.flac", "copy.flac")


def melody(seed, seconds=6.0):
    """(S,) notes of random pitches at random times."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = 1e-4 * rng.standard_normal(len(time))
    for onset, pitch in zip(rng.uniform(0, seconds, 36), rng.uniform(220, 2000, 36), strict=True):
        sounding = np.maximum(0, time - onset)
        wave += 0.1 * np.sin(2 * np.pi * pitch * sounding) * np.exp(-sounding / 0.15) * (time >= onset)
    return wave


def corpus_of(tmp_path, monkeypatch):
    """A table of two songs, one of them also softer, without its beginning, in the test split."""
    corpus = Corpus(tmp_path, monkeypatch)
    for name, wave in zip(NAMES, (melody(0), melody(1), 0.4 * melody(0)[RATE_HZ:]), strict=True):
        soundfile.write(corpus.root / name, wave, RATE_HZ)
    rows = [("path", "split", "artist"), *zip(NAMES, ("training", "validation", "test"), "abc", strict=True)]
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return corpus


def test_a_copy_in_another_split_is_listed_and_said(tmp_path, monkeypatch, capsys):
    corpus = corpus_of(tmp_path, monkeypatch)
    assert corpus.run(table=str(tmp_path / "table.csv")) == 0
    fid_of = {track.path: track.fid for track in corpus.tracks()}
    assert read_similar_tracks(corpus.data.similar_tracks, "") == [(fid_of["song.flac"], fid_of["copy.flac"])]
    printed = capsys.readouterr().out
    assert "1, 1 of them in two splits, such as 'song.flac' and 'copy.flac'" in printed
    (corpus.root / "copy.flac").unlink()
    soundfile.write(corpus.root / "copy.flac", melody(2), RATE_HZ)
    corpus.run(table=str(tmp_path / "table.csv"))
    assert not corpus.data.similar_tracks.exists()


def test_the_example_of_two_splits_is_one(tmp_path, monkeypatch, capsys):
    corpus = corpus_of(tmp_path, monkeypatch)
    soundfile.write(corpus.root / "again.flac", 0.5 * melody(0), RATE_HZ)
    with (tmp_path / "table.csv").open("a") as stream:
        stream.write("again.flac,training,a\n")
    corpus.run(table=str(tmp_path / "table.csv"))
    assert "recording: 3, 2 of them in two splits, such as 'song.flac' and 'copy.flac'" in capsys.readouterr().out


def test_unchanged_recordings_are_not_compared_again(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, monkeypatch)
    compared = []
    write = similar_music.write_similar_tracks
    monkeypatch.setattr(music_tables, "write_similar_tracks", lambda *given: (compared.append(1), write(*given)))
    for _ in range(2):
        corpus.run(table=str(tmp_path / "table.csv"))
        assert corpus.data.similar_tracks.exists()
    assert compared == [1]


def test_each_new_recording_is_decoded_once_and_known_ones_are_read_for_the_comparison(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, monkeypatch)
    opened = []
    open_sound = decoding.open_sound
    monkeypatch.setattr(decoding, "open_sound", lambda path: opened.append(path.name) or open_sound(path))
    corpus.run(table=str(tmp_path / "table.csv"))
    assert sorted(opened) == sorted(NAMES)
    assert corpus.data.similar_tracks.exists()
    opened.clear()
    soundfile.write(corpus.root / "other.flac", 0.4 * melody(0)[RATE_HZ:], RATE_HZ)
    corpus.run(table=str(tmp_path / "table.csv"))
    assert sorted(opened) == sorted(NAMES)
    fid_of = {track.path: track.fid for track in corpus.tracks()}
    pairs = {frozenset(pair) for pair in read_similar_tracks(corpus.data.similar_tracks, "")}
    assert pairs == {frozenset(fid_of[name] for name in NAMES if name != left) for left in NAMES}


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100])
@pytest.mark.parametrize("compared_s", [2, 120])
def test_a_print_of_decoding_is_that_of_the_beginning(tmp_path, monkeypatch, rate_hz, compared_s):
    """Of more than one block and of a part of one, in bounded memory; a known recording has the same."""
    monkeypatch.setattr(similar_music, "_COMPARED", compared_s * 11_025)
    monkeypatch.setattr(similar_music, "BLOCK_S", 0.7)
    path = tmp_path / "a.wav"
    soundfile.write(path, soxr.resample(melody(0, 5.0), RATE_HZ, rate_hz), rate_hz, subtype="FLOAT")
    listener = similar_music.BeginningPrint()
    probe(path, 0.7, listener.hear)
    found, known = listener.heard(), similar_music._print_of(path)
    for one, other in zip(found, known, strict=True):
        np.testing.assert_array_equal(one, other)
    held = np.concatenate(listener._blocks)
    assert len(held) == min(compared_s, 5) * 11_025
    np.testing.assert_allclose(held, read_window(path, 11_025, 0, compared_s * 11_025), atol=1e-4)
    assert len(found.hashes) > 20


def test_a_recording_that_broke_meanwhile_is_similar_to_nothing(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"no music")
    assert not len(similar_music._print_of(tmp_path / "a.mp3").hashes)
