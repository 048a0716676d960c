"""`music_recommend` beside the vectors of a frozen encoder, which are made after the autoencoder was trained."""

import json
import re

import h5py
import numpy as np
import pytest

from models.frozen.audio import load_frozen_audio
from postprocessing import music_recommend
from preprocessing import audio_embeddings
from tasks.music.results import known_tracks
from tests import tiny_models
from tests.postprocessing.commands import Result, error_of
from tests.tasks.music.conftest import _corpus, music  # noqa: F401 - fixtures
from tests.tasks.music.corpora import RATE_HZ, SPLITS, settings_of
from tests.training import write_trial
from utils.artefact_utils import read_catalogue
from utils.audio_utils import FrontEnd, read_wave
from utils.metric_utils.recommendation.spaces import EmbeddingSpace
from utils.metric_utils.recommendation.system import measure_system

RECOMMEND = ["--control-tracks", "0", "--length", "2"]


class Compared:
    """A trained run, and its YAML with an encoder that training did not know."""

    def __init__(self, music, capsys):  # noqa: F811
        self.folder, self.capsys = music.folder, capsys
        self.encoder = str(tiny_models.write_wav2vec2(music.folder / "wav2vec2"))
        write_trial(music.run("logmel", "training.epochs=1"))
        self.conf = music.conf("logmel", data=self.data(model=self.encoder))

    def data(self, **embeddings):
        return settings_of(self.folder, "logmel")["data"] | {"audio_embeddings": embeddings}

    def vectors(self, split):
        return self.folder / "features" / f"{split}_audio_embeddings.hdf5"

    def run(self, script, *arguments):
        self.capsys.readouterr()
        code = 0
        try:
            script.main(["--conf", self.conf, *arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
            if code == 70:  # a fault: pytest shows what caused it
                raise
        return Result(code, *self.capsys.readouterr())

    def results(self):
        return json.loads((self.folder / "runs" / "tiny-logmel" / "recommendation_metrics.json").read_text())


@pytest.fixture
def compared(music, capsys):  # noqa: F811
    return Compared(music, capsys)


def embedded(compared, split):
    """(N, E) vectors of the tracks of a split, from their files."""
    encoder = load_frozen_audio(compared.encoder, None, FrontEnd.model_validate({"name": "dcase2023"}), 0.5)
    paths = [track.path for track in read_catalogue(compared.folder / "features" / "catalogue.csv", "", split)]
    return np.stack(encoder.embed([read_wave(compared.folder / "corpus" / path, RATE_HZ) for path in paths]))


def test_what_is_missing_is_named_with_its_command_and_then_measured(compared):
    done = compared.run(music_recommend, *RECOMMEND)
    assert done.code == 0, done.err
    assert "audio_embeddings" not in compared.results()["systems"]
    (line,) = [line for line in done.out.splitlines() if line.startswith("audio_embeddings is left out: ")]
    found = re.fullmatch(r".*: there is no (.+); write it: python -m (\S+) --conf (\S+)", line)
    assert found.groups() == (str(compared.vectors("training")), "preprocessing.audio_embeddings", compared.conf)
    assert compared.run(audio_embeddings, "--workers", "1").code == 0
    assert all(compared.vectors(split).is_file() for split in SPLITS)

    done = compared.run(music_recommend, *RECOMMEND)
    assert done.code == 0, done.err
    assert "left out" not in done.out
    results = compared.results()
    names = list(results["systems"])
    assert names[names.index("logmel_pca") + 1] == "audio_embeddings"
    space = EmbeddingSpace.fit(embedded(compared, "training"))
    tracks = read_catalogue(compared.folder / "features" / "catalogue.csv", "", "test")
    expected = measure_system(space(embedded(compared, "test")), known_tracks(tracks)).metrics()
    for name, metrics in results["systems"]["audio_embeddings"].items():
        assert metrics == pytest.approx(expected[name])
    assert results["intervals"]["audio_embeddings"]["none"].keys() == expected["none"].keys()
    assert "audio_embeddings" in results["hubness"]


def test_aisfx_has_its_name(compared):
    line = "aisfx is left out: there is no "
    done = compared.run(music_recommend, *RECOMMEND, "--set", "data.audio_embeddings={model: package:aisfx}")
    assert done.code == 0, done.err
    assert sum(found.startswith(line) for found in done.out.splitlines()) == 1
    assert "preprocessing.audio_embeddings --conf" in done.out
    assert "--set 'data.audio_embeddings={model: package:aisfx}'" in done.out
    compared.run(audio_embeddings, "--workers", "1")
    for split in SPLITS:
        with h5py.File(compared.vectors(split), "r+") as file:
            file.attrs["model"] = "package:aisfx"
    compared.run(music_recommend, *RECOMMEND, "--set", "data.audio_embeddings={model: package:aisfx}")
    assert "aisfx" in compared.results()["systems"]


def test_tracks_that_the_encoder_refuses_are_left_out_of_all_systems(compared):
    compared.run(audio_embeddings, "--workers", "1")
    with h5py.File(compared.vectors("test"), "r+") as file:
        file.attrs["left_out"] = json.dumps({"test-3": "silent"})
    done = compared.run(music_recommend, *RECOMMEND)
    assert done.code == 0, done.err
    assert compared.results()["tracks"] == SPLITS["test"] - 1
    assert "1 of 8 tracks are left out, such as test 3.wav: audio_embeddings has no embedding of it" in done.out


@pytest.mark.parametrize("change", ["width", "revision"])
def test_vectors_of_two_encoders_are_refused(compared, change):
    compared.run(audio_embeddings, "--workers", "1")
    with h5py.File(compared.vectors("test"), "r+") as file:
        if change == "revision":
            file.attrs["revision"] = "another"
        else:
            for fid in list(file):
                del file[fid]
                file[fid] = np.ones(7, np.float32)
    error = error_of(compared.run(music_recommend, *RECOMMEND))
    assert "test_audio_embeddings.hdf5: a vector of 'test' has " in error
    assert ("7 numbers" if change == "width" else "16 numbers another, one of 'training' has 16 numbers ") in error
    assert f"write both again: python -m preprocessing.audio_embeddings --conf {compared.conf}" in error


def test_vectors_of_another_program_are_a_system_too(compared, music):  # noqa: F811
    own = compared.folder / "own_{split}.npz"
    compared.conf = music.conf("logmel", data=compared.data(file=str(own)))
    done = compared.run(music_recommend, *RECOMMEND)
    assert f"audio_embeddings is left out: there is no {compared.folder}/own_training.npz; correct data." in done.out
    for split, count in SPLITS.items():
        rows = np.random.default_rng(0).standard_normal((count, 3)).astype(np.float32)
        np.savez(str(own).replace("{split}", split), **{f"{split} {n}.wav": row for n, row in enumerate(rows)})
    assert compared.run(music_recommend, *RECOMMEND).code == 0
    assert "audio_embeddings" in compared.results()["systems"]
