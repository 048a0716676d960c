"""Captions in CLIP's space: the whole CLIP's own values, whatever happened before."""

import multiprocessing
import os
import pickle
import shutil
import signal

import numpy as np
import pytest
import torch

from models.frozen import caption_chunks, caption_vectors
from preprocessing import clip_embeddings, clotho_dataset
from tests import tiny, tiny_models
from utils.artefact_utils import load_pickle, read_text_embeddings, read_text_table


class Data:
    """Tables, a CLIP, and the embeddings made of them."""

    def __init__(self, folder):
        self.folder = folder
        self.clip = tiny_models.write_clip(folder / "clip")
        self.path = folder / "features" / "clip_embeds.pkl"
        mapping = tiny.conf(folder)
        mapping["data"]["text_embeddings"] = {"file": "clip_embeds.pkl", "model": str(self.clip)}
        self.conf = tiny.write_conf(folder, mapping)
        self.tables()

    def tables(self):
        clotho_dataset.main(["--conf", str(self.conf), "--workers", "1"])

    def replace_first_captions(self, *texts):
        table = self.folder / "corpus" / "clotho_captions_development.csv"
        header, first, *rest = table.read_text().splitlines()
        table.write_text("\n".join([header, ",".join([first.split(",")[0], *texts]), *rest]) + "\n")
        self.tables()

    def run(self, *arguments):
        """The exit code."""
        try:
            clip_embeddings.main(["--conf", str(self.conf), *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    def captions(self):
        return [c for split in tiny.SPLITS for c in read_text_table(self.folder / "features" / f"{split}_text.csv", "")]

    def vectors(self):
        with self.path.open("rb") as stream:  # as any other program reads it
            return pickle.load(stream)  # noqa: S301 - written here


@pytest.fixture
def data(raw):
    return Data(raw)


@torch.no_grad()
def assert_right(data):
    """Every caption has the vector that the whole CLIP gives it alone."""
    from transformers import CLIPModel, CLIPTokenizer

    clip, tokenizer = CLIPModel.from_pretrained(data.clip).eval(), CLIPTokenizer.from_pretrained(data.clip)
    vectors = data.vectors()
    captions = data.captions()
    assert list(vectors) == [caption.tid for caption in captions]
    for caption in captions:
        tokens = tokenizer(caption.raw_text, truncation=True, max_length=77, return_tensors="pt")
        expected = clip.get_text_features(**tokens).pooler_output[0].numpy()
        assert (vectors[caption.tid].shape, vectors[caption.tid].dtype) == ((12,), np.float32)
        np.testing.assert_allclose(vectors[caption.tid], expected, atol=1e-5)


def test_each_caption_has_its_vector_and_the_notes_name_the_model(data, capsys):
    assert data.run("--batch-size", "3") == 0
    assert_right(data)
    notes = load_pickle(data.path, "")[1]
    assert notes["revision"].startswith("sha256:")
    assert notes["made_by"] == f"python -m preprocessing.clip_embeddings --conf {data.conf}"
    assert {key: notes[key] for key in ("model", "kind", "max_tokens", "truncated")} == {
        "model": str(data.clip),
        "kind": "CLIP",
        "max_tokens": 77,
        "truncated": 0,
    }
    printed = capsys.readouterr().out
    assert f"32 captions, wrote {data.path} (12 dimensions, {data.clip})" in printed
    assert "space is that of" not in printed
    assert "longer than" not in printed
    assert f"next: python main.py --conf {data.conf}" in printed


def test_captions_over_77_tokens_are_cut_and_counted(data, capsys):
    data.replace_first_captions("dog " * 76, "bell " * 300)  # start and end make 78
    assert data.run() == 0
    assert "\n2 captions are longer than 77 tokens and were cut\n" in capsys.readouterr().out
    assert_right(data)
    data.replace_first_captions("dog " * 75, "rain " * 76)
    assert data.run() == 0
    printed = capsys.readouterr().out
    assert "30 of 32 captions are embedded already" in printed
    assert "\n1 caption is longer than 77 tokens and was cut\n" in printed
    assert_right(data)


def test_killed_in_the_middle_it_goes_on_from_the_last_chunk(data, monkeypatch, capsys):
    monkeypatch.setattr(caption_chunks, "CHUNK", 4)
    encode_captions, begun = caption_chunks.encode_captions, []

    def killed(*arguments):
        begun.append(1)
        if len(begun) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return encode_captions(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(caption_chunks, "encode_captions", killed)
        child = multiprocessing.get_context("fork").Process(target=data.run)
        child.start()
        child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not data.path.exists()
    assert data.run() == 0
    assert "20 of 32 captions are embedded already" in capsys.readouterr().out
    assert_right(data)
    assert not list(data.path.parent.glob("*.unfinished"))
    monkeypatch.setattr(caption_vectors, "load_frozen_text", None)
    assert data.run() == 0
    assert f"32 captions, reused {data.path}" in capsys.readouterr().out


def test_other_weights_or_another_model_are_made_again(data, capsys):
    data.run()
    shutil.rmtree(data.clip)
    tiny_models.write_clip(data.clip, seed=1)
    assert data.run() == 0
    assert f"{data.path}: not reused: the weights of {data.clip} have changed" in capsys.readouterr().out
    assert_right(data)
    made = data.path.read_bytes()
    other = tiny_models.write_clip(data.folder / "other", seed=1)
    assert data.run("--set", f"data.text_embeddings.model={other}") == 0
    assert f"holds the vectors of another model; those of {other} go beside it" in capsys.readouterr().out
    assert data.path.read_bytes() == made
    beside = read_text_embeddings(data.path, str(other), "")
    assert beside.path != data.path
    for tid, vector in beside.vectors.items():  # the same weights under another name
        np.testing.assert_array_equal(vector, data.vectors()[tid])


def test_a_sentence_encoder_works_and_a_line_says_whose_space_it_is(data, capsys):
    encoder = data.folder / "encoder"
    line = (
        f"the captions' space is that of the sentence encoder {encoder}, not CLIP's; for CLIP, where a hub or a folder "
        "has it: --set data.text_embeddings.model=openai/clip-vit-base-patch32\n"
    )
    for _ in range(2):  # made, and then reused
        assert data.run("--set", f"data.text_embeddings.model={encoder}") == 0
        assert line in capsys.readouterr().out
    assert {vector.shape for vector in data.vectors().values()} == {(16,)}


def error_of(data, capsys, *arguments):
    capsys.readouterr()
    assert data.run(*arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


def test_models_that_are_not_there_wrong_or_partial(data, capsys):
    wrong = tiny_models.write_wav2vec2(data.folder / "wav2vec2")
    (data.clip / "tokenizer.json").unlink()
    for model, message in (
        ("no-such/clip", "no-such/clip: cannot be loaded: "),
        ("/no/such", "/no/such: no such folder; correct data.text_embeddings.model"),
        (wrong, f"{wrong}: its tokenizer cannot be loaded: "),
        (data.clip, f"{data.clip}: holds no tokenizer files; get the model's files again"),
    ):
        error = error_of(data, capsys, "--set", f"data.text_embeddings.model={model}")
        assert error.startswith(f"error: data.text_embeddings.model: {message}")
    assert not data.path.exists()


def test_tables_that_are_missing(data, capsys):
    (data.folder / "features" / "validation_text.csv").unlink()
    error = error_of(data, capsys)
    assert "validation_text.csv: no such file; write it: python -m preprocessing.clotho_dataset --conf" in error
