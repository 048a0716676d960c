"""Tables keep every character of names and captions; broken ones are refused by name."""

import csv
import pickle
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.artefact_utils import (
    Caption,
    Clip,
    dump_pickle,
    load_pickle,
    read_clips,
    read_clips_of,
    read_text_table,
    tables,
    write_audio_info,
    write_rows,
    write_text_table,
    write_vocab_info,
)
from utils.cli_utils import ArtefactError

CLIP = Clip("f0", "a.wav", "development/a.wav", 1.5, 44_100, 2, "source 1")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def caption(number=0, **changes):
    return Caption(f"t{number}", "f0", "a.wav", "A dog.", "a dog", "a.wav#1")._replace(**changes)


@pytest.mark.parametrize("fid", ["../f0", "a/b", "a\0b", ".", "..", "\udcff"])
def test_ids_that_name_nothing_in_hdf5_are_refused(tmp_path, fid):
    write_audio_info(tmp_path / "x.pkl", {"x": [CLIP, CLIP._replace(fid=fid)]}, {})
    with pytest.raises(
        ArtefactError, match=r"x\.pkl: clip 1 has the fid .*, expected a name without slashes; write it"
    ):
        read_clips(tmp_path / "x.pkl", "x", "again")
    write_audio_info(tmp_path / "x.pkl", {"x": [CLIP, CLIP._replace(fid=".a..wav 1")]}, {})
    assert read_clips(tmp_path / "x.pkl", "x", "again")[1].fid == ".a..wav 1"


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(texts, texts, texts, texts), min_size=1, max_size=5))
def test_any_text_survives_the_table(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("table") / "x.csv"
    captions = [Caption(f"t{n}", f"f{n}", *row) for n, row in enumerate(rows)]
    write_text_table(path, captions)
    assert read_text_table(path, "again") == captions


@pytest.mark.parametrize(
    "raw", ["None", "NA", "nan", "NULL", "", "1e5", "007", "True", ' "quoted", ', "two\r\nlines", "\0"]
)
def test_captions_are_text_whatever_they_look_like(tmp_path, raw):
    captions = [caption(0, raw_text=raw), caption(1, raw_text=raw, text=raw)]
    write_text_table(tmp_path / "x.csv", captions)
    assert read_text_table(tmp_path / "x.csv", "again") == captions


def test_the_text_table_has_the_columns_of_the_baseline_and_tokens_as_a_list(tmp_path):
    write_text_table(tmp_path / "x.csv", [caption(text="a dog barks")])
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream))
    assert list(row) == ["tid", "fid", "fname", "raw_text", "text", "tokens", "source_id"]
    assert row["tokens"] == "['a', 'dog', 'barks']"


def test_a_table_without_source_ids_is_that_of_the_baseline(tmp_path):
    (tmp_path / "x.csv").write_text("tid,fid,fname,raw_text,text\nt1,f1,a.wav,A dog.,a dog\n")
    assert read_text_table(tmp_path / "x.csv", "again") == [Caption("t1", "f1", "a.wav", "A dog.", "a dog", "t1")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; write it: again"),
        (b"", "not a CSV table"),
        (b"tid,fid,fname,raw_text,text\n\xff,f,n,r,t\n", "not a CSV table"),
        (b"tid,fid,fname,raw_text,text\n", "holds no captions; add captions, then: again"),
        (b"tid,fname,raw_text\nt,f,n\n", "column fid, text is missing; write it again: again"),
        (b"tid,fid,fname,raw_text,text\nt7,f,n,r,t\nt7,f,n,r,t\n", "tid t7 occurs twice; write it again: again"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, content, message):
    path = tmp_path / "x_text.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"x_text\.csv: {message}"):
        read_text_table(path, "again")


def test_clips_survive_and_the_baselines_keys_are_there(tmp_path):
    clips = {"development": [CLIP, CLIP._replace(fid="f1", fname='ü ".wav')], "evaluation": []}
    write_audio_info(tmp_path / "audio_info.pkl", clips, {"root": "/data"})
    assert read_clips(tmp_path / "audio_info.pkl", "development", "again") == clips["development"]
    with (tmp_path / "audio_info.pkl").open("rb") as stream:
        data = pickle.load(stream)  # noqa: S301 - written here
    assert data["audio_fid2fname"] == {"development": {"f0": "a.wav", "f1": 'ü ".wav'}, "evaluation": {}}
    assert data["audio_durations"] == {"development": [1.5, 1.5], "evaluation": []}


def test_several_splits_are_those_of_each(tmp_path, monkeypatch):
    path = tmp_path / "audio_info.pkl"
    write_audio_info(path, {name: [CLIP._replace(fid=name)] for name in ("a", "b", "c")}, {})
    each = {name: read_clips(path, name, "again") for name in ("c", "a")}
    reads = []
    monkeypatch.setattr(tables, "load_pickle", lambda *found: reads.append(found) or load_pickle(*found))
    assert read_clips_of(path, ["c", "a"], "again") == each
    assert len(reads) == 1
    assert read_clips_of(path, [], "again") == {}


@settings(max_examples=300)
@given(st.text("/.a", max_size=8))
def test_paths_that_lead_out_of_the_data_set_are_those_that_pathlib_finds(path):
    outside = PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
    assert (tables._why_no_clip(CLIP._replace(path=path)) is not None) == outside


def test_splits_that_are_missing_or_empty_are_named(tmp_path):
    path = tmp_path / "audio_info.pkl"
    write_audio_info(path, {"development": [CLIP], "evaluation": []}, {})
    with pytest.raises(
        ArtefactError, match=r"has no split 'test', only development, evaluation; write it again: again"
    ):
        read_clips(path, "test", "again")
    with pytest.raises(ArtefactError, match=r"split 'evaluation' is empty; add clips and captions, then: again"):
        read_clips(path, "evaluation", "again")


def test_audio_info_of_the_dcase_2023_baseline_is_no_file_to_write_again(tmp_path):
    dump_pickle(tmp_path / "audio_info.pkl", {"audio_fid2fname": {}, "audio_durations": {}}, {})
    with pytest.raises(ArtefactError, match="is a file of the DCASE 2023 baseline, whose random ids") as error:
        read_clips(tmp_path / "audio_info.pkl", "development", "again")
    assert "again:" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "notes", "found"),
    [
        ({"fids": {}}, {}, "none"),
        ({"clips": {}}, {"format_version": 99}, "99"),
        ([1, 2], {"format_version": 1}, "1"),
        (7, {"format_version": 1}, "1"),
    ],
)
def test_audio_info_of_another_program_is_refused(tmp_path, data, notes, found):
    dump_pickle(tmp_path / "audio_info.pkl", data, notes)
    with pytest.raises(ArtefactError, match=rf"format version is {found}, this program reads 1; write it again: again"):
        read_clips(tmp_path / "audio_info.pkl", "development", "again")


def test_vocab_info_by_hand(tmp_path):
    train = [caption(0, text="a dog"), caption(1, text="a bell"), caption(2, fid="f1", text="rain")]
    write_vocab_info(tmp_path / "vocab_info.pkl", {"development": train, "evaluation": [caption(3, text="a cat")]})
    with (tmp_path / "vocab_info.pkl").open("rb") as stream:
        data = pickle.load(stream)  # noqa: S301 - written here
    assert data["vocabulary"] == {"a", "dog", "bell", "rain", "cat"}
    assert data["word_bags"] == {"development": ["a", "dog", "a", "bell", "rain"], "evaluation": ["a", "cat"]}
    assert data["split_infos"]["development"] == {"num_clips": 2, "num_captions": 3, "num_words": 5}


def test_names_that_are_not_utf8_can_be_written(tmp_path):
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")  # as the file system gives a Latin-1 name
    write_rows(tmp_path / "x.csv", ["name"], [[name]])
    assert (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines() == ["name", "caf\\udce9.wav"]
