"""Rows of a file of captions find their clips and references."""

from pathlib import Path

import pytest

from utils.artefact_utils import Caption, CaptionRow, Clip
from utils.cli_utils import ArtefactError
from utils.data_utils.caption_rows import match_captions

CLIPS = [
    Clip("f1", "a.wav", "eval/a.wav", 1.0, 16000, 1, "id1"),
    Clip("f2", "b.wav", "eval/b.wav", 1.0, 16000, 1, "id2"),
]
CAPTIONS = [
    Caption("t1", "f1", "a.wav", " A dog\nbarks. ", "a dog barks", "1"),
    Caption("t2", "f1", "a.wav", "  ", "", "2"),
    Caption("t3", "f1", "a.wav", "Barking", "barking", "3"),
    Caption("t4", "f2", "b.wav", "Rain", "rain", "4"),
]
FILE = Path("other.csv")


@pytest.mark.parametrize(
    "names", [("f1", "f2"), ("eval/a.wav", "eval/b.wav"), ("a.wav", "b.wav"), ("a", "b"), ("id1", "id2")]
)
def test_rows_without_references_take_those_of_the_split(names):
    rows = [CaptionRow(names[1], [], "it rains"), CaptionRow(names[0], [], "")]
    found = match_captions(FILE, rows, CLIPS, CAPTIONS)
    assert found.rows == [CaptionRow("f2", ["Rain"], "it rains"), CaptionRow("f1", ["A dog barks.", "Barking"], "")]
    assert found.clips == {"f2": CLIPS[1], "f1": CLIPS[0]}
    assert not found.missing


def test_references_of_the_file_are_used():
    rows = [CaptionRow("b.wav", ["own"], "x"), CaptionRow("elsewhere.wav", ["other"], "y")]
    found = match_captions(FILE, rows, CLIPS, CAPTIONS)
    assert found.rows == [CaptionRow("f2", ["own"], "x"), CaptionRow("elsewhere.wav", ["other"], "y")]
    assert found.clips == {"f2": CLIPS[1]}
    assert found.missing == [CLIPS[0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a.wav", []), ("c.wav", [])],
            r"1 of 2 ids are no clip of the split, the first is 'c\.wav'; the split has 2 clips, such as",
        ),
        ([("a.wav", ["x"]), ("b.wav", [])], r"'b\.wav' has no references, 1 other clips have; add them"),
        ([("a.wav", ["x", " . "])], r"clip 'f1' has the reference ' \. ', which has no word"),
    ],
)
def test_rows_that_cannot_be_measured(rows, message):
    with pytest.raises(ArtefactError, match=rf"other\.csv: {message}"):
        match_captions(FILE, [CaptionRow(name, references, "h") for name, references in rows], CLIPS, CAPTIONS)


def test_a_name_of_two_clips_is_refused():
    twins = [CLIPS[0], CLIPS[1]._replace(fname="a.wav")]
    with pytest.raises(ArtefactError, match=r"'a\.wav' is the file name of 2 clips; name them by their paths"):
        match_captions(FILE, [CaptionRow("a.wav", [], "h")], twins, CAPTIONS)


def test_a_clip_without_captions_is_refused():
    with pytest.raises(ArtefactError, match=r"the split has no caption of clip 'f2'; leave its row out"):
        match_captions(FILE, [CaptionRow("b.wav", [], "h")], CLIPS, CAPTIONS[:3])
