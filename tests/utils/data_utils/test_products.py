"""Stage 1 in a folder of the DCASE 2023 baseline replaces nothing; folders and names that would do harm are refused."""

import pickle

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from tests.tiny import conf, write_conf, write_corpus
from utils.data_utils import CaptionDataSpec


def baseline_files(folder):
    """Such files as its scripts leave, and the bytes of each."""
    folder.mkdir()
    (folder / "audio_info.pkl").write_bytes(pickle.dumps({"audio_fid2fname": {}, "audio_durations": {}}))
    (folder / "vocab_info.pkl").write_bytes(pickle.dumps({"vocabulary": {"a"}}))
    (folder / "sbert_embeds.pkl").write_bytes(pickle.dumps({"x": np.ones(4, np.float32)}))
    (folder / "development_text.csv").write_text(
        "tid,fid,fname,raw_text,text,tokens\nx,y,a.wav,A dog,a dog,\"['a']\"\n"
    )
    with h5py.File(folder / "development_audio_logmels.hdf5", "w") as file:
        file["y"] = np.ones((3, 64), np.float32)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def scripts():
    from preprocessing import audio_logmel, audiocaps_dataset, clip_embeddings, clotho_dataset, sbert_embeddings

    return clotho_dataset, audiocaps_dataset, audio_logmel, sbert_embeddings, clip_embeddings


@pytest.mark.parametrize(
    "name",
    ["audio_info.pkl", "vocab_info.pkl", "sbert_embeds.pkl", "development_text.csv", "development_audio_logmels.hdf5"],
)
def test_no_script_replaces_a_file_of_the_baseline(tmp_path, capsys, name):
    write_corpus(tmp_path / "corpus")
    made = baseline_files(tmp_path / "features")
    for other in made.keys() - {name}:  # one is enough
        (tmp_path / "features" / other).unlink()
    path = write_conf(tmp_path)
    for script in scripts()[:1] if name != "audio_info.pkl" else scripts():
        with pytest.raises(SystemExit) as end:
            script.main(["--conf", str(path)])
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert "Traceback" not in error
        assert str(tmp_path / "features") in error or "captions" in error
        if script.__name__.endswith("clotho_dataset"):
            assert (
                f"{name}: is a file of another program, or a broken one, which is never replaced; name another" in error
            )
            assert "preprocessing.dcase2023_takeover --conf" in error
    assert {p.name: p.read_bytes() for p in (tmp_path / "features").iterdir()} == {name: made[name]}


def spec(**changes):
    return CaptionDataSpec.model_validate(changes)


def test_features_lie_beside_the_raw_data(tmp_path):
    (tmp_path / "raw" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    root = tmp_path / "raw"
    for features in (root, root / "inner", root / "new", tmp_path / "link", tmp_path / "link" / "x", root / "a" / ".."):
        with pytest.raises(ValidationError, match=r"is inside data\.root, which is only read; name a folder beside it"):
            spec(root=root, features=features)
    with pytest.raises(ValidationError, match=r"holds data\.root, which is only read; name a folder beside it"):
        spec(root=tmp_path / "link", features=tmp_path)
    assert spec(root=root, features=tmp_path / "raw features").features.name == "raw features"


@pytest.mark.parametrize("name", ["audio_info.pkl", "vocab_info.pkl", "embeddings_val.pkl", "Audio_Info.PKL"])
def test_caption_vectors_take_no_name_of_another_file(tmp_path, name):
    with pytest.raises(ValidationError, match=r"is the name of another file of stage 1|should match pattern"):
        spec(root=tmp_path / "r", features=tmp_path / "f", splits={"val": "val"}, text_embeddings={"file": name})


@pytest.mark.parametrize("name", ["development_text.csv", "development_audio_logmels.hdf5", "x", "x.pkl\n", "a\0.pkl"])
def test_caption_vectors_are_a_pickle(tmp_path, name):
    with pytest.raises(ValidationError, match=r"should match pattern|needs a plain name"):
        spec(root=tmp_path / "r", features=tmp_path / "f", text_embeddings={"file": name})


def test_the_settings_of_the_tests_are_right(tmp_path):
    assert spec(**conf(tmp_path)["data"]).text_embeddings.file == "sbert_embeds.pkl"
