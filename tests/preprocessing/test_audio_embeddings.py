"""Embeddings by frozen encoders: the same whether the run was killed or not; what cannot be embedded is listed."""

import pickle
from collections import namedtuple

import h5py
import numpy as np
import pytest
import torch

from models.audio_encoders.cnn10 import CNN10Encoder
from models.frozen.audio import load_frozen_audio
from preprocessing import audio_embeddings, sbert_embeddings
from tests import tiny_models
from tests.models.exported import write_panns
from tests.preprocessing.embedding_corpus import SPLITS
from utils.artefact_utils import (
    ClipArrayReader,
    load_pickle,
    read_audio_embeddings,
    read_pairs,
    read_text_table,
)
from utils.audio_utils import FrontEnd, read_wave
from utils.data_utils import embedding_files


@pytest.fixture
def corpus(to_embed):
    return to_embed


def last_line(capsys):
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_every_clip_has_the_vector_of_its_wave(corpus, capsys):
    assert corpus.run() == 0
    printed = capsys.readouterr()
    assert "wav2vec2: 16 dimensions, 16000 Hz, windows of at most 1 s, on cpu" in printed.out
    assert "next: python -m preprocessing.sbert_embeddings --conf" in printed.out  # of a retrieval run
    assert "clip/s" in printed.err
    encoder = load_frozen_audio(str(corpus.folder / "wav2vec2"), None, corpus.data.front_end, 1.0)
    for split in SPLITS:
        clips = corpus.clips(split)
        with h5py.File(corpus.path(split)) as file:
            assert set(file) == {clip.fid for clip in clips}
            attributes = dict(file.attrs)
            for clip in clips:
                expected = encoder.embed([read_wave(corpus.folder / "corpus" / clip.path, 16_000)])[0]
                assert file[clip.fid].dtype == np.float32
                np.testing.assert_allclose(file[clip.fid][:], expected, atol=1e-4)
    assert attributes.pop("made_by").startswith("python -m preprocessing.audio_embeddings --conf")
    assert attributes.pop("revision").startswith("sha256:")
    assert attributes == {
        "format_version": 1,
        "kind": "vectors",
        "model": str(corpus.folder / "wav2vec2"),
        "layers": "all",
        "pooling": "mean over frames",
        "input": "16000 Hz, windows of at most 1 s",
        "precision": "fp32",
        "dtype": "float32",
        "left_out": "{}",
    }
    table = read_audio_embeddings(corpus.data.audio_source("evaluation"), corpus.clips("evaluation"), "evaluation")
    assert table.kept.all()


def test_run_again_it_reuses_and_other_threads_write_the_same_bytes(corpus, capsys, monkeypatch):
    corpus.run()
    made = corpus.bytes()
    corpus.remove()
    assert corpus.run("--workers", "1") == 0
    assert corpus.bytes() == made
    monkeypatch.setattr(audio_embeddings, "decoded_batches", None)
    capsys.readouterr()
    assert corpus.run() == 0
    assert f"development: 8 clips, reused {corpus.path()}" in capsys.readouterr().out
    assert corpus.bytes() == made


def test_an_added_clip_costs_only_itself(corpus, monkeypatch):
    corpus.run()
    name = "new.wav"
    corpus.write(name, 0.1 * np.sin(np.arange(20_000) / 9))
    captions = corpus.folder / "corpus" / "clotho_captions_development.csv"
    captions.write_text(captions.read_text() + f"{name},a bell,a dog\n")
    corpus.tables()
    embed, counted = audio_embeddings.FrozenAudioEncoder.embed, []
    monkeypatch.setattr(
        audio_embeddings.FrozenAudioEncoder,
        "embed",
        lambda self, waves, *a: counted.append(len(waves)) or embed(self, waves, *a),
    )
    assert corpus.run() == 0
    assert counted == [1]
    assert len(ClipArrayReader(corpus.path(), "").views([clip.fid for clip in corpus.clips()])) == 9


def test_other_layers_are_written_beside_and_another_state_of_the_model_replaces_its_file(corpus, capsys):
    corpus.run()
    made = corpus.bytes()
    assert corpus.run("--set", "data.audio_embeddings.layers=1") == 0
    printed = capsys.readouterr().out
    assert '"layers": "all"' in printed
    assert "MB) and stays; evaluation_audio_embeddings-wav2vec2-" in printed
    assert corpus.bytes() == made
    source, clips = corpus.data.audio_source("evaluation"), corpus.clips("evaluation")
    whole = read_audio_embeddings(source, clips, "evaluation").vectors
    cut = read_audio_embeddings(source._replace(layers=1), clips, "evaluation").vectors
    assert np.abs(whole - cut).max() > 1e-3
    for arguments in ([], ["--set", "data.audio_embeddings.layers=1"]):
        capsys.readouterr()
        assert corpus.run(*arguments) == 0
        assert capsys.readouterr().out.count("reused") == len(made)
    tiny_models.write_wav2vec2(corpus.folder / "wav2vec2", seed=1)
    capsys.readouterr()
    assert corpus.run() == 0
    assert '"revision": "sha256:' in capsys.readouterr().out
    with h5py.File(corpus.path()) as file:
        assert file.attrs["revision"].encode() not in made["development"]


def spoil(corpus):
    """Three clips of development that no encoder can hear; returns name -> reason."""
    names = sorted(clip.fname for clip in corpus.clips())[:3]
    corpus.write(names[0], np.zeros(3000))
    corpus.write(names[1], np.full(100, 0.1))  # 36 samples at 16 kHz, the receptive field has 85
    corpus.tables()
    broken = corpus.folder / "corpus" / "development" / names[2]
    broken.write_bytes(broken.read_bytes()[:-300])
    return {
        names[0]: "silent: every sample is 0",
        names[1]: "too short: 2.2 ms, the network's receptive field is 5.3 ms",
        names[2]: "is truncated: 300 bytes of its samples are missing",
    }


def test_clips_that_cannot_be_embedded_are_listed_and_the_others_kept(corpus, capsys):
    reasons = spoil(corpus)
    corpus.run()
    printed = capsys.readouterr().out
    assert "development: 3 of 8 clips have no embedding, the first is" in printed
    assert "development: training leaves them out; all of them: " in printed
    header, *rows = corpus.failed()
    assert header == ["fid", "fname", "reason"]
    assert {name: reason for _, name, reason in rows} == reasons
    assert corpus.failed("validation") is None
    table = read_audio_embeddings(corpus.data.audio_source("development"), corpus.clips(), "development")
    assert table.kept.sum() == 5
    assert sorted(table.left_out.values()) == sorted(reasons.values())
    made = corpus.bytes()
    assert corpus.run() == 0  # they are tried again, and nothing changes
    assert "development: 5 clips, reused" in capsys.readouterr().out
    assert corpus.bytes() == made
    assert len(corpus.failed()) == 4


def test_a_clip_that_is_repaired_is_embedded(corpus):
    broken = corpus.folder / "corpus" / "development" / corpus.clips()[0].fname
    content = broken.read_bytes()
    broken.write_bytes(content[:-300])
    assert corpus.run() == 0
    assert len(corpus.failed()) == 2
    broken.write_bytes(content)
    assert corpus.run() == 0
    assert corpus.failed() is None
    table = read_audio_embeddings(corpus.data.audio_source("development"), corpus.clips(), "development")
    assert table.kept.all()


def test_a_split_without_a_single_embedding_is_refused(corpus, capsys):
    for clip in corpus.clips("validation"):
        corpus.write(clip.fname, np.zeros(3000 + len(clip.fname)), split="validation")
    corpus.tables()
    assert corpus.run() == 2
    assert "error: validation: all 4 clips were refused, the first is validation" in last_line(capsys)
    assert corpus.path().exists()


def test_an_output_that_is_not_finite_is_a_failure(corpus, monkeypatch):
    embed = audio_embeddings.FrozenAudioEncoder.embed

    def huge(self, waves, *arguments):
        return [array * (1e6 if number == 0 else 1) for number, array in enumerate(embed(self, waves, *arguments))]

    monkeypatch.setattr(audio_embeddings.FrozenAudioEncoder, "embed", huge)
    assert corpus.run("--float16") == 0
    assert corpus.failed()[1][2] == "its embedding holds NaN or infinite values as float16"


def test_frames_in_float16_with_their_disk_need_told_before(corpus, capsys, monkeypatch):
    assert corpus.run("--frames") == 0
    printed = capsys.readouterr().out
    assert "frames in float16: 0.1 MB, 0.1 MB while made" in printed
    encoder = load_frozen_audio(str(corpus.folder / "wav2vec2"), None, corpus.data.front_end, 1.0)
    clips = corpus.clips()
    with h5py.File(corpus.path(kind="frames")) as file:
        assert file.attrs["kind"] == "frames"
        assert file.attrs["pooling"] == "none"
        for clip in clips:
            expected = encoder.embed([read_wave(corpus.folder / "corpus" / clip.path, 16_000)], frames=True)[0]
            assert file[clip.fid].dtype == np.float16
            np.testing.assert_allclose(file[clip.fid][:], expected, atol=2e-3, rtol=2e-3)
    assert corpus.run("--frames", "--float32") == 0
    with h5py.File(corpus.path(kind="frames")) as file:
        assert file[clips[0].fid].dtype == np.float32
    assert not corpus.path().exists()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 50_000))
    monkeypatch.setattr(audio_embeddings, "decoded_batches", None)
    assert corpus.run("--frames") == 2
    error = last_line(capsys)
    assert error.startswith(f"error: {corpus.features}: needs 0 MB, 0 MB are free")
    assert error.endswith("--set data.features=DIR")


@pytest.mark.parametrize("kind", ["frames", "embeddings"])
def test_the_estimate_covers_what_is_written(corpus, monkeypatch, kind):
    needs = []
    monkeypatch.setattr(embedding_files, "check_free_disk", lambda folder, need, key: needs.append(need))
    corpus.run(*(["--frames"] if kind == "frames" else []), "--checkpoint-every", "100")
    written = sum(corpus.path(split, kind).stat().st_size for split in SPLITS)
    assert written + corpus.path(kind=kind).stat().st_size < needs[0] * 1.15
    assert needs[0] < 2 * written


def test_the_pickle_holds_both_vectors_of_every_caption(corpus, capsys):
    assert corpus.run("--pickle") == 2
    error = last_line(capsys)
    assert "sbert_embeds.pkl: no such file; write it: python -m preprocessing.sbert_embeddings --conf" in error
    assert not corpus.path().exists()
    reasons = spoil(corpus)
    sbert_embeddings.main(["--conf", str(corpus.conf)])
    assert corpus.run("--pickle") == 0
    path = corpus.features / "embeddings_development.pkl"
    rows = pickle.loads(path.read_bytes())  # noqa: S301 - written above
    captions = [c for c in read_text_table(corpus.features / "development_text.csv", "") if c.fname not in reasons]
    assert [row["uniq_id"] for row in rows] == [caption.source_id for caption in captions]
    assert [row["text"] for row in rows] == [caption.raw_text for caption in captions]
    texts, _ = load_pickle(corpus.features / "sbert_embeds.pkl", "")
    with h5py.File(corpus.path()) as file:
        for row, caption in zip(rows, captions, strict=True):
            assert set(row) == {"uniq_id", "audio_embedding", "text_embedding", "text", "audio_path"}
            assert (corpus.data.root / row["audio_path"]).name == caption.fname
            np.testing.assert_array_equal(row["audio_embedding"], file[caption.fid][:])
            np.testing.assert_array_equal(row["text_embedding"], texts[caption.tid])
    assert len(read_pairs(path).clips) == 5


def test_frames_and_pickle_are_two_runs(corpus, capsys):
    assert corpus.run("--frames", "--pickle") == 2
    assert last_line(capsys) == (
        "error: --pickle holds one vector a clip, --frames makes many; run the two one after the other"
    )


def test_runs_that_name_no_encoder_or_a_wrong_one(corpus, capsys):
    assert corpus.run("--set", "data.audio_embeddings=null") == 2
    assert last_line(capsys).startswith("error: data.audio_embeddings is not set; to embed the clips name an encoder")
    assert corpus.run("--set", "data.audio_embeddings=x.npz") == 2
    assert last_line(capsys).startswith("error: data.audio_embeddings names a file of another program; to embed")
    assert corpus.run("--set", f"data.audio_embeddings.model={corpus.folder}/none") == 2
    assert last_line(capsys).startswith(f"error: data.audio_embeddings.model: {corpus.folder}/none: no such folder")
    assert corpus.run("--set", f"data.audio_embeddings.model={corpus.folder}/corpus") == 2
    assert "the folder holds no config.json" in last_line(capsys)
    assert corpus.run("--set", "data.root=/no/such") == 2
    assert last_line(capsys) == "error: data.root: folder /no/such does not exist; correct it"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there(corpus, capsys):
    assert corpus.run("--device", "cuda") == 2
    assert last_line(capsys).startswith("error: training.device: cuda, but torch finds no GPU here; use auto or cpu")
    assert corpus.run("--set", "training.device=cuda", "--set", "ray.gpus_per_trial=1") == 2
    assert "training.device: cuda, but torch finds no GPU here" in last_line(capsys)


def test_the_project_s_own_encoder(corpus):
    model = write_panns(corpus.folder / "own", CNN10Encoder, front_end=FrontEnd.model_validate({"name": "panns"}))
    assert corpus.run("--set", f"data.audio_embeddings.model={model}") == 0
    with h5py.File(corpus.path()) as file:
        assert "panns (32000 Hz" in file.attrs["input"]
        assert next(iter(file.values())).shape == (16,)
