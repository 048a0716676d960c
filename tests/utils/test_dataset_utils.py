"""Captions matched to clips; ids; what lies in a folder."""

import os

import pytest

from utils.artefact_utils import Clip
from utils.dataset_utils import RawCaption, Rejected, audio_files, content_id, match_captions, match_key


def clip(name, number=0):
    return Clip(f"f{number}", name, f"x/{name}", 1.0, 8000, 1, name)


def caption(name, raw_text="A dog.", text=None):
    return RawCaption(name, raw_text, text, f"{name}#1")


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


def test_matching_by_hand():
    clips = [clip("a.wav", 1), clip("b.wav", 2)]
    captions = [caption("a.wav"), caption(" a.wav "), caption("c.wav"), caption("d.wav"), caption("a.wav", "!")]
    kept, matched, rejected = match_captions(clips, captions, "x", {"d.wav": "holds no samples"})
    assert kept == [clips[0]]
    assert [(c.fid, c.fname, c.raw_text, c.text) for c in matched] == [("f1", "a.wav", "A dog.", "a dog")] * 2
    assert matched[0].tid != matched[1].tid  # the same words twice are two captions
    assert rejected == [
        Rejected("caption", "c.wav#1", "without a clip: 'c.wav': no such file"),
        Rejected("caption", "d.wav#1", "without a clip: 'd.wav': holds no samples"),
        Rejected("caption", "a.wav#1", "no words in '!'"),
        Rejected("clip", "b.wav", "without a caption"),
    ]


def test_tids_follow_text_and_clip_and_not_the_order():
    clips = [clip("a.wav", 1), clip("b.wav", 2)]
    texts = ["one", "two", "two", "three"]
    there = [caption(name, text) for name in ("a.wav", "b.wav") for text in texts]
    _, matched, _ = match_captions(clips, there, "x", {})
    _, again, _ = match_captions(clips[::-1], there[::-1], "x", {})
    assert len({c.tid for c in matched}) == 8
    assert {(c.fname, c.raw_text, c.tid) for c in again} == {(c.fname, c.raw_text, c.tid) for c in matched}
    _, other, _ = match_captions(clips, there, "y", {})
    assert not {c.tid for c in other} & {c.tid for c in matched}


def test_files_of_a_folder(tmp_path):
    for name in ("b.wav", "a.OGG", "c.txt", "none", ".hidden.wav"):
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")  # to open it would wait for ever
    files, strange = audio_files(tmp_path)
    assert [file.name for file in files] == ["a.OGG", "b.wav"]
    known = ".aif, .aiff, .au, .flac, .mp3, .ogg, .opus, .wav"
    assert strange == [
        Rejected("clip", "c.txt", f"extension '.txt' is none of {known}"),
        Rejected("clip", "folder.wav", "is a folder; the clips of a split lie in one folder"),
        Rejected("clip", "none", f"extension '' is none of {known}"),
        Rejected("clip", "pipe.wav", "is a link to nothing, or no regular file"),
    ]
