"""Rows of a file of captions find their clips and references."""

from pathlib import Path

import pytest

from utils.artefact_utils import Caption, CaptionRow, Clip
from utils.artefact_utils.captions import CaptionFile
from utils.cli_utils import ArtefactError
from utils.data_utils.caption_rows import match_captions, namings_of, rate_names

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


def matched(rows, clips, captions, **settings):
    return match_captions(FILE, CaptionFile(rows, "id"), clips, captions, namings_of(clips, captions), **settings)


@pytest.mark.parametrize(
    "names", [("f1", "f2"), ("eval/a.wav", "eval/b.wav"), ("a.wav", "b.wav"), ("a", "b"), ("id1", "id2")]
)
def test_rows_without_references_take_those_of_the_split(names):
    rows = [CaptionRow(names[1], [], "it rains"), CaptionRow(names[0], [], "")]
    found = matched(rows, CLIPS, CAPTIONS)
    assert found.rows == [CaptionRow("f2", ["Rain"], "it rains"), CaptionRow("f1", ["A dog barks.", "Barking"], "")]
    assert found.clips == {"f2": CLIPS[1], "f1": CLIPS[0]}
    assert not found.missing


def test_references_of_the_file_are_used():
    rows = [CaptionRow("b.wav", ["own"], "x"), CaptionRow("elsewhere.wav", ["other"], "y")]
    found = matched(rows, CLIPS, CAPTIONS)
    assert found.rows == [CaptionRow("f2", ["own"], "x"), CaptionRow("elsewhere.wav", ["other"], "y")]
    assert found.clips == {"f2": CLIPS[1]}
    assert found.missing == [CLIPS[0]]
    assert found.corpus == [["own"], ["other"], ["A dog barks.", "Barking"]]  # also of the clip that has no row
    assert matched(rows[1:], CLIPS, CAPTIONS).corpus == [["other"]]
    with pytest.raises(ArtefactError, match="1 of 2 ids are no clip of the split, the first is 'elsewhere"):
        matched(rows, CLIPS, CAPTIONS, own=True)


def fids_of(names, clips, captions):
    namings = namings_of(clips, captions)
    rows = [CaptionRow(name, [], "h") for name in names]
    found = match_captions(FILE, CaptionFile(rows, "id"), clips, captions, namings)
    return [row.id for row in found.rows]


def test_numbers_name_files_of_numbers():
    clips = [CLIPS[0]._replace(fname="000000229997.jpg"), CLIPS[1]._replace(fname="COCO_val2014_000000000042.jpg")]
    assert fids_of(["42", "229997"], clips, CAPTIONS) == ["f2", "f1"]
    twins = [clips[0], CLIPS[1]._replace(fname="0229997.jpg")]
    with pytest.raises(ArtefactError, match=r"'229997' is the number of 2 clips"):
        fids_of(["229997"], twins, CAPTIONS)


def test_ids_of_captions_and_of_youtube_name_clips():
    clips = [
        CLIPS[0]._replace(fname="YabcdefghiJ_30.wav", source_id="YabcdefghiJ"),
        CLIPS[1]._replace(fname="0.flac", source_id="a-c_efghiJ_"),
    ]
    assert fids_of(["4", "3"], clips, CAPTIONS) == ["f2", "f1"]
    assert fids_of(["Ya-c_efghiJ_.wav", "YYabcdefghiJ.wav"], clips, CAPTIONS) == ["f2", "f1"]
    assert fids_of(["a-c_efghiJ__30.000_40.000", "YabcdefghiJ_30000_40000.mp3"], clips, CAPTIONS) == ["f2", "f1"]


def test_the_column_that_names_most_clips_rates_best_and_of_equals_the_stricter():
    clips = [CLIPS[0]._replace(fname="1.wav"), CLIPS[1]._replace(fname="2.wav")]
    rate = rate_names(namings_of(clips, CAPTIONS))
    assert rate(["2.wav", "1.wav"]) > rate(["1", "2"]) > rate(["1", "7"]) > rate(["x", "y"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a.wav", []), ("c.wav", [])],
            r"1 of 2 ids are no clip of the split, the first is 'c\.wav' in column 'id'; .* such as 'a\.wav'; name",
        ),
        ([("a.wav", ["x"]), ("b.wav", [])], r"'b\.wav' has no references, 1 other clips have; add them"),
        ([("a.wav", ["x", " . "])], r"clip 'f1' has the reference ' \. ', which has no word"),
    ],
)
def test_rows_that_cannot_be_measured(rows, message):
    with pytest.raises(ArtefactError, match=rf"other\.csv: {message}"):
        matched([CaptionRow(name, references, "h") for name, references in rows], CLIPS, CAPTIONS)


def test_a_name_of_two_clips_is_refused():
    twins = [CLIPS[0], CLIPS[1]._replace(fname="a.wav")]
    with pytest.raises(ArtefactError, match=r"'a\.wav' is the file name of 2 clips; name them by their paths"):
        matched([CaptionRow("a.wav", [], "h")], twins, CAPTIONS)


def test_a_clip_without_captions_is_refused():
    with pytest.raises(ArtefactError, match=r"the split has no caption of clip 'f2'; leave its row out"):
        matched([CaptionRow("b.wav", [], "h")], CLIPS, CAPTIONS[:3])
