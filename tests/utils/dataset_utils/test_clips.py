"""Ids, names, and the files of a folder."""

import os

import numpy as np
import pytest
import soundfile

from utils.dataset_utils import Rejected, audio_files, content_id, match_key, probe_clips


def test_ids_change_with_every_part_and_with_nothing_else():
    made = [
        content_id("a", "b", b"c"),
        content_id("ab", "", b"c"),
        content_id("", "ab", b"c"),
        content_id("a", "bc"),
        content_id("a", "b", b"c", b""),
        content_id("a", "b", b"", b"c"),
        content_id("a", "b", b"d"),
    ]
    assert len(set(made)) == len(made)
    assert all(len(one) == 16 and set(one) <= set("0123456789abcdef") for one in made)
    assert content_id("a", "b", b"c") == made[0]
    assert content_id("development", "é.wav", b"x") == "1c0f69fce94c2bd1"  # of every machine, and for ever


@pytest.mark.parametrize(("one", "other"), [("é.wav", "é.wav"), (" a.wav\n", "a.wav"), ("a  b.wav", "a  b.wav")])
def test_names_that_are_one(one, other):
    assert match_key(one) == match_key(other)


@pytest.mark.parametrize(("one", "other"), [("a.wav", "A.wav"), ("a b.wav", "a  b.wav"), ("a.wav", "a.ogg")])
def test_names_that_are_two(one, other):
    assert match_key(one) != match_key(other)


def test_files_of_a_folder(tmp_path):
    for name in ("b.wav", "a.OGG", "c.txt", "none", ".hidden.wav"):
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")  # to open it would wait for ever
    files, strange = audio_files(tmp_path)
    assert [file.name for file in files] == ["a.OGG", "b.wav"]
    known = ".aac, .aif, .aiff, .au, .flac, .m4a, .mp3, .mp4, .oga, .ogg, .opus, .wav, .webm, .wma"
    assert strange == [
        Rejected("clip", "c.txt", f"extension '.txt' is none of {known}"),
        Rejected("clip", "folder.wav", "is a folder; the clips of a split must be in one folder"),
        Rejected("clip", "none", f"extension '' is none of {known}"),
        Rejected("clip", "pipe.wav", "is a broken link, or not a regular file"),
    ]


def write_wave(path, seed):
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 80), 8000)
    return path


def test_clips_are_identified_by_name_or_by_path(tmp_path):
    files = [write_wave(tmp_path / folder / "0.wav", seed) for seed, folder in enumerate("ab")]
    (tmp_path / "b" / "1.wav").write_bytes(b"no sound")
    files.append(tmp_path / "b" / "1.wav")
    clips, rejected = probe_clips(files, tmp_path, "val", {}, 1)
    assert [(c.path, c.source_id) for c in clips] == [("a/0.wav", "0.wav")]
    assert [r[:2] for r in rejected] == [("clip", "0.wav"), ("clip", "1.wav")]
    ids = {"a/0.wav": "first", "b/0.wav": "second", "b/1.wav": "third"}
    both, rejected = probe_clips(files, tmp_path, "val", {c.path: c for c in clips}, 1, ids)
    assert [(c.path, c.fname, c.source_id) for c in both] == [
        ("a/0.wav", "0.wav", "first"),  # known by another id before
        ("b/0.wav", "0.wav", "second"),
    ]
    assert both[0].fid == clips[0].fid != both[1].fid
    assert [r[:2] for r in rejected] == [("clip", "b/1.wav")]
