"""Recordings that are nearly the same are listed, whatever they are called."""

import csv

import numpy as np
import soundfile

from tests.preprocessing.music_corpus import Corpus
from utils.artefact_utils.similar_tracks import read_similar_tracks
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


def test_unchanged_recordings_are_not_compared_again(tmp_path, monkeypatch):
    corpus = corpus_of(tmp_path, monkeypatch)
    compared = []
    write = similar_music.write_similar_tracks
    monkeypatch.setattr(music_tables, "write_similar_tracks", lambda *given: (compared.append(1), write(*given)))
    for _ in range(2):
        corpus.run(table=str(tmp_path / "table.csv"))
        assert corpus.data.similar_tracks.exists()
    assert compared == [1]


def test_a_recording_that_broke_meanwhile_is_similar_to_nothing(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"no music")
    assert not len(similar_music._print_of(tmp_path / "a.mp3").hashes)
