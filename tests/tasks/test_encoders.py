"""The Python API: arrays out, the same as the scripts', and one clear error for what cannot be embedded."""

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from postprocessing import export, search, xmodal_scores
from tasks import load_encoder
from tasks.retrieval.embedding import DualEncoderEmbedder
from tests.postprocessing.commands import run
from tests.tiny import ROOT, write_sentence_encoder
from tests.training import run_of, write_trial
from utils.artefact_utils.retrieval import ScoreReader
from utils.cli_utils import UserError


@pytest.fixture
def trained(prepared):
    write_trial(run_of(prepared))
    return prepared


@pytest.fixture
def experiment(trained):
    return trained / "runs" / "tiny"


@pytest.fixture
def files(trained):
    return sorted((trained / "corpus" / "evaluation").iterdir())


@pytest.fixture
def embedded(monkeypatch):
    """The files that any task embeds, in order."""
    seen = []
    embed = DualEncoderEmbedder.sounds

    def counted(self, paths, *rest):
        seen.extend(path.name for path in paths)
        return embed(self, paths, *rest)

    monkeypatch.setattr(DualEncoderEmbedder, "sounds", counted)
    return seen


def bits(array):
    return array.dtype, array.shape, array.tobytes()


def test_embeddings_are_those_of_the_scripts(trained, experiment, files, capsys, monkeypatch):
    """To the bit what search compares; up to rounding what xmodal_scores writes, which embeds clips in batches."""
    encoder = load_encoder(experiment)
    audio, text = encoder.encode_audio(files), encoder.encode_text(["a dog barks", "rain falls"])
    seen = []
    compare = search.RetrievalEncoder.search
    monkeypatch.setattr(
        search.RetrievalEncoder, "search", lambda self, q, a, top: seen.append((q, a)) or compare(self, q, a, top)
    )
    run(search.main, capsys, trained, "a dog barks", "rain falls", "--audio", *map(str, files))
    assert bits(seen[0][0]) == bits(np.concatenate([text, audio]))
    run(search.main, capsys, trained, "a dog barks", "--folder", str(files[0].parent))
    assert bits(seen[1][1]) == bits(audio)
    run(xmodal_scores.main, capsys, trained)
    with ScoreReader(next(experiment.glob("*/evaluation_xmodal_scores.hdf5")), "") as reader:
        np.testing.assert_allclose(audio, reader.embeddings("audio"), atol=1e-6)


def test_the_lines_of_the_readme(trained, files, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.S)
    (trained / "lines.py").write_text(block)
    monkeypatch.chdir(trained)
    Path("runs/tiny").rename("runs/demo")
    shutil.copy(files[0], "rain.wav")
    shutil.copy(files[1], "dog.wav")
    found = runpy.run_path("lines.py")
    assert found["audio"].shape == (2, 8)
    assert sorted(found["indices"][0]) == [0, 1]
    assert found["scores"][0, 0] >= found["scores"][0, 1]


def test_one_file_one_text_and_many_give_arrays(experiment, files):
    encoder = load_encoder(str(experiment))
    assert encoder.out_dim == 8
    one, many = encoder.encode_audio(str(files[2])), encoder.encode_audio(files)
    assert (one.shape, many.shape, many.dtype) == ((1, 8), (4, 8), np.float32)
    assert bits(one[0]) == bits(many[2])  # the other files of a call change nothing
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_text("rain"), encoder.encode_text(["dog", "rain"])[1:], atol=1e-6)


def test_search_gives_the_best_clips_of_each_query(experiment, files):
    encoder = load_encoder(experiment)
    audio, text = encoder.encode_audio(files), encoder.encode_text(["a dog", "rain"])
    hits = encoder.search(["a dog", "rain"], audio, top=3)
    products = text @ audio.T
    assert hits.indices.tolist() == np.argsort(-products, axis=1)[:, :3].tolist()
    np.testing.assert_allclose(hits.scores, -np.sort(-products, axis=1)[:, :3], atol=1e-6)
    assert encoder.search(audio, audio, top=1).indices[:, 0].tolist() == [0, 1, 2, 3]  # each clip finds itself
    assert encoder.search("rain", audio).indices.shape == (1, 4)


def test_an_exported_encoder_gives_the_embeddings_of_its_run(trained, experiment, files, capsys):
    run(export.main, capsys, trained)
    exported = load_encoder(experiment / "audio_encoder.json")
    sounds = [*files, ROOT / "example" / "example.wav"]  # some shorter, some longer than a window
    assert bits(exported.encode_audio(sounds)) == bits(load_encoder(experiment).encode_audio(sounds))
    with pytest.raises(UserError, match="holds an audio encoder alone; load the trained run to embed texts"):
        exported.encode_text("rain")
    assert exported.search(exported.encode_audio(files), exported.encode_audio(files), 1).indices.tolist() == [
        [0],
        [1],
        [2],
        [3],
    ]


def test_an_encoder_without_a_norm_is_exported_without(prepared, capsys):
    write_trial(run_of(prepared, "model.out_norm=none"))
    run(export.main, capsys, prepared, "--set", "model.out_norm=none")
    path = prepared / "runs" / "tiny"
    sound = [ROOT / "example" / "example.wav"]
    found = load_encoder(path / "audio_encoder.json").encode_audio(sound)
    assert bits(found) == bits(load_encoder(path).encode_audio(sound))
    assert abs(np.linalg.norm(found) - 1) > 1e-3


def test_a_folder_is_embedded_once(experiment, files, tmp_path, embedded):
    folder = tmp_path / "any"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(files[0], folder / "a.wav")
    shutil.copy(files[1], folder / "sub" / "b.wav")
    (folder / "broken.wav").write_bytes(b"no sound")
    (folder / "notes.txt").write_text("no sound file")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    first = load_encoder(experiment).encode_folder(folder)
    assert first.files == [folder / "a.wav", folder / "sub" / "b.wav"]
    assert {path.name: reason for path, reason in first.refused.items()} == {
        "broken.wav": "cannot be decoded: Format not recognised"
    }
    assert sorted(embedded) == ["a.wav", "b.wav", "broken.wav"]
    embedded.clear()
    again = load_encoder(experiment).encode_folder(folder)
    assert embedded == []
    assert bits(again.embeddings) == bits(first.embeddings)
    assert (again.files, again.refused) == (first.files, first.refused)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before  # only read
    shutil.copy(files[2], folder / "a.wav")
    shutil.copy(files[3], folder / "c.wav")
    (folder / "sub" / "b.wav").unlink()
    changed = load_encoder(experiment).encode_folder(folder)
    assert sorted(embedded) == ["a.wav", "c.wav"]
    assert changed.files == [folder / "a.wav", folder / "c.wav"]
    assert bits(changed.embeddings) == bits(load_encoder(experiment).encode_audio(files[2:]))
    embedded.clear()
    for number in (0, 1):
        load_encoder(experiment, checkpoint=f"checkpoint_00000{number}").encode_folder(folder)
    assert sorted(embedded) == sorted(2 * ["a.wav", "broken.wav", "c.wav"])  # other weights, other embeddings


def test_a_killed_search_of_a_folder_goes_on(experiment, files, monkeypatch, embedded):
    monkeypatch.setattr("tasks.retrieval.encoder._FILES_A_WRITE", 1)
    encoder = load_encoder(experiment)
    embed = encoder._sounds

    def killed(paths, *rest):
        if paths[0].name == files[2].name:
            raise KeyboardInterrupt
        return embed(paths, *rest)

    encoder._sounds = killed
    with pytest.raises(KeyboardInterrupt):
        encoder.encode_folder(files[0].parent)
    embedded.clear()
    assert len(load_encoder(experiment).encode_folder(files[0].parent).files) == 4
    assert embedded == [files[2].name, files[3].name]


def test_what_cannot_be_embedded_is_one_line(trained, experiment, files, tmp_path):
    encoder = load_encoder(experiment)
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 44_100)
    for path, message in (
        ([*files, empty], f"^{empty}: .*; give another sound file$"),
        (tmp_path / "none.wav", "none.wav: cannot be decoded: no such file; give another sound file$"),
    ):
        with pytest.raises(UserError, match=message):
            encoder.encode_audio(path)
    for folder, message in (
        (tmp_path / "no", "does not exist"),
        (trained / "features", "no audio files in this folder"),
    ):
        with pytest.raises(UserError, match=message):
            encoder.encode_folder(folder)
    for path, message in (
        ("no-run", "run no-run does not exist"),
        ("none.json", "none.json: no such file; write both"),
    ):
        with pytest.raises(UserError, match=message):
            load_encoder(path)
    with pytest.raises(UserError, match="trial 'x' does not exist"):
        load_encoder(experiment, trial="x")
    write_sentence_encoder(trained / "encoder", seed=1)  # of the same name and width
    with pytest.raises(UserError, match="made the run's text vectors"):
        load_encoder(experiment).encode_text("rain")


def test_an_error_names_the_command_for_the_trained_run(trained, experiment):
    params = experiment / "trial_00000" / "params.json"
    with pytest.raises(UserError, match=r"no-run does not exist; train first: python main\.py$"):
        load_encoder("no-run")
    (trained / "features" / "evaluation_text.csv").unlink()
    with pytest.raises(UserError, match=f"write it: python -m preprocessing.clotho_dataset --conf {params}$"):
        load_encoder(experiment)
