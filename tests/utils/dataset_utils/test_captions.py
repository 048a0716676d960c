"""Captions matched to clips."""

from utils.artefact_utils import Clip
from utils.dataset_utils import RawCaption, Rejected, match_captions


def clip(name, number=0):
    return Clip(f"f{number}", name, f"x/{name}", 1.0, 8000, 1, name)


def caption(name, raw_text="A dog.", text=None):
    return RawCaption(name, raw_text, text, f"{name}#1")


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


def test_matching_by_path_distinguishes_clips_of_one_name():
    clips = [clip("0.wav", 1)._replace(path="0.wav"), clip("0.wav", 2)._replace(path="a/0.wav")]
    captions = [caption("a/0.wav"), caption("0.wav"), caption("b/0.wav"), caption("0.wav ")]
    kept, matched, rejected = match_captions(clips, captions, "x", {"b/0.wav": "is silent"}, by_path=True)
    assert kept == clips
    assert [c.fid for c in matched] == ["f2", "f1"]
    assert [r.reason for r in rejected] == [
        "without a clip: 'b/0.wav': is silent",
        "without a clip: '0.wav ': no such file",
    ]


def test_outer_blanks_stay_and_change_no_id():
    clips = [clip("a.wav", 1)]
    texts = [" A dog. ", "Rain,\n", "Rain,"]
    _, matched, _ = match_captions(clips, [caption("a.wav", text) for text in texts], "x", {})
    assert [(c.raw_text, c.text) for c in matched] == [(" A dog. ", "a dog"), ("Rain,\n", "rain"), ("Rain,", "rain")]
    _, plain, _ = match_captions(clips, [caption("a.wav", text.strip()) for text in texts], "x", {})
    assert [c.tid for c in matched] == [c.tid for c in plain]
    assert len({c.tid for c in matched}) == 3
