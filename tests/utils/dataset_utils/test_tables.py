"""What both scripts of clips and captions write; their own tests show the rest."""

import csv

import numpy as np
import pytest
import soundfile

from utils.artefact_utils import load_pickle, read_clips, read_text_table
from utils.cli_utils import UserError
from utils.data_utils import CaptionDataSpec, SplitsSpec
from utils.dataset_utils import RawCaption, RawSplit, Rejected, write_rejected, write_tables


@pytest.fixture
def data(tmp_path):
    for folder in "ab":
        (tmp_path / "root" / folder).mkdir(parents=True)
        wave = np.random.default_rng(0).uniform(-0.5, 0.5, 800)
        soundfile.write(tmp_path / "root" / folder / "0.wav", wave, 8000)
    splits = SplitsSpec(train="x", val="x", eval="x")
    front_end = {"name": "dcase2023"}
    return CaptionDataSpec(root=tmp_path / "root", features=tmp_path / "features", splits=splits, front_end=front_end)


def write(data, split, *, strict=False):
    return write_tables(data, {"x": split}, 1, strict=strict, made_by="this command")


def test_clips_by_path_with_ids_of_their_own(data, capsys):
    names = {"a/0.wav": "first", "b/0.wav": "second"}
    captions = [RawCaption(name, "A dog.", None, f"caption of {own}") for name, own in reversed(names.items())]
    assert write(data, RawSplit([data.root / name for name in names], captions, [], names), strict=True) == 0
    clips = read_clips(data.audio_info, "x", "")
    assert [(c.path, c.fname, c.source_id) for c in clips] == [
        ("a/0.wav", "0.wav", "first"),
        ("b/0.wav", "0.wav", "second"),
    ]
    found = read_text_table(data.text_table("x"), "")
    assert [(c.fid, c.source_id) for c in found] == [
        (clips[1].fid, "caption of second"),
        (clips[0].fid, "caption of first"),
    ]
    assert len({c.tid for c in found}) == 2  # the same words of two clips
    assert load_pickle(data.audio_info, "")[1]["made_by"] == "this command"
    assert load_pickle(data.vocab_info, "")[0]["vocabulary"] == {"a", "dog"}


def test_an_empty_split_counts_the_captions_that_were_refused(data):
    refused = [Rejected("caption", "1", "too short"), Rejected("clip", "c.wav", "is a folder")]
    with pytest.raises(
        UserError,
        match=r"is empty: 1 audio files, such as 'a/0\.wav'; 2 captions, the first too short; no clip has a caption",
    ):
        write(data, RawSplit([data.root / "a" / "0.wav"], [RawCaption("no.wav", "A dog", None, "2")], refused))
    with data.rejected("x").open(newline="", encoding="utf-8") as stream:
        assert [row[:2] for row in csv.reader(stream)] == [
            ["kind", "name"],
            ["caption", "1"],
            ["clip", "c.wav"],
            ["caption", "2"],
            ["clip", "0.wav"],
        ]


def test_the_list_of_what_is_rejected_is_written_when_it_is_empty_too(tmp_path):
    write_rejected(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text().split() == ["kind,name,reason"]
