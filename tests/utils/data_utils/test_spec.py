"""The `data:` block."""

from pathlib import Path

import pytest

from utils.cli_utils import ConfigError
from utils.config_utils import parse
from utils.data_utils import AudioDataSpec, CaptionDataSpec, DataSpec
from utils.data_utils.products import products_of


def data(**changes):
    plain = {"root": "~/clips", "features": "/made", "front_end": {"name": "dcase2023"}}
    return parse({**plain, **changes}, CaptionDataSpec, "conf.yaml")


def test_paths_of_the_files(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    made = data()
    assert made.root == Path("/home/someone/clips")
    assert [str(p) for p in (made.audio_info, made.vocab_info, made.text_vectors)] == [
        "/made/audio_info.pkl",
        "/made/vocab_info.pkl",
        "/made/sbert_embeds.pkl",
    ]
    assert str(made.logmels("x")) == "/made/x_audio_logmels.hdf5"
    assert str(made.text_table("x")) == "/made/x_text.csv"
    assert str(made.rejected("x")) == "/made/x_rejected.csv"


def test_names_of_splits_are_told_once():
    assert data().splits.names() == ["development", "validation", "evaluation"]
    assert data(splits={"train": "a", "val": "b", "eval": "b"}).splits.names() == ["a", "b"]


def test_the_numbers_of_a_front_end_do_not_hold_its_name():
    numbers = data().front_end_numbers()
    spelled_out = data(front_end={"name": "custom", **numbers})
    assert spelled_out.front_end_numbers() == numbers
    assert "name" not in numbers


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "/abs"])
def test_names_must_be_plain(name):
    with pytest.raises(ConfigError, match=r"splits\.val: needs a plain name, without slashes"):
        data(splits={"val": name})
    with pytest.raises(ConfigError, match=r"text_embeddings\.file: needs a plain name"):
        data(text_embeddings={"file": name})


@pytest.mark.parametrize("seconds", [0, -1, 86_401, float("inf"), float("nan"), "long"])
def test_durations_must_be_in_range(seconds):
    with pytest.raises(ConfigError, match=r"conf\.yaml: 1 bad key\n  max_duration_s: "):
        data(max_duration_s=seconds)


def test_a_string_names_features_of_another_program():
    assert data().audio_embeddings is None
    source = data(audio_embeddings="~/x/{split}.hdf5").audio_source("val")
    assert source.path == Path("~/x/val.hdf5").expanduser()
    assert (source.model, source.layers, source.scratch) == (None, None, Path("/made"))
    assert data(audio_embeddings="a.npz") == data(audio_embeddings={"file": "a.npz"})


def test_the_vectors_of_a_model_lie_beside_the_other_features():
    made = data(audio_embeddings={"model": "some/model", "layers": 6})
    source = made.audio_source("val")
    assert str(source.path) == str(made.audio_vectors("val")) == "/made/val_audio_embeddings.hdf5"
    assert (source.model, source.layers) == ("some/model", 6)
    assert source.repair == "<make audio-embeddings>"
    assert str(made.audio_frames("val")) == "/made/val_audio_frames.hdf5"


def test_pairs_are_one_file_a_split():
    assert data(pairs="~/e_{split}.pkl").pairs_file("val") == Path("~/e_val.pkl").expanduser()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "audio_embeddings: needs exactly one of file and model, found neither"),
        ({"file": "a.npz", "model": "m"}, "audio_embeddings: needs exactly one of file and model, found both"),
        ({"file": "a.npz", "layers": 2}, "audio_embeddings: layers belongs to a model, found it beside a file"),
        ({"model": "m", "layers": 0}, "audio_embeddings.layers: "),
        ({"model": ""}, "audio_embeddings.model: "),
        ({"modle": "m"}, "audio_embeddings.modle: unknown key; did you mean 'model'?"),
        (3, "audio_embeddings: "),
    ],
)
def test_audio_embeddings_come_from_one_place(given, message):
    with pytest.raises(ConfigError) as error:
        data(audio_embeddings=given)
    assert f"\n  {message}" in str(error.value)


@pytest.mark.parametrize(("given", "processes"), [("auto", 0), (0, 0), (3, 3)])
def test_worker_processes(given, processes):
    assert data(workers=given).worker_processes == processes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (-1, "greater than or equal to 0, or 'auto' (got -1)"),
        (300, "less than or equal to 256, or 'auto' (got 300)"),
        ("many", "a valid integer, unable to parse string as an integer, or 'auto' (got 'many')"),
    ],
)
def test_workers_that_are_neither_a_number_nor_auto(given, message):
    with pytest.raises(ConfigError) as error:
        data(workers=given)
    assert str(error.value).splitlines()[1:] == [f"  workers: Input should be {message}"]


def test_each_kind_of_data_knows_its_own_keys():
    assert set(DataSpec.model_fields) == {"root", "features", "splits", "workers"}
    of_audio = set(AudioDataSpec.model_fields) - set(DataSpec.model_fields)
    assert of_audio == {"max_duration_s", "front_end", "audio_embeddings", "exclude_duplicates"}
    of_captions = set(CaptionDataSpec.model_fields) - set(AudioDataSpec.model_fields)
    assert of_captions == {"own_dataset", "text_embeddings", "pairs"}
    with pytest.raises(ConfigError, match="text_embeddings: unknown key"):
        parse({"root": "a", "features": "b", "text_embeddings": {}}, AudioDataSpec, "x.yaml")


def test_data_of_clips_alone_has_no_files_of_captions():
    captioned = products_of(data(splits={"train": "a", "val": "a", "eval": "a"}))
    names = {"root": "~/clips", "features": "/made", "splits": {"train": "a", "val": "a", "eval": "a"}}
    alone = products_of(parse(names, AudioDataSpec, "x.yaml"))
    assert {path.name for path in captioned} - {path.name for path in alone} == {
        "a_text.csv",
        "embeddings_a.pkl",
        "sbert_embeds.pkl",
        "vocab_info.pkl",
    }
