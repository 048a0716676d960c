"""Each model gets the text encoder of its kind."""

import numpy as np
import pytest
import torch

from models.frozen import text_loading
from models.frozen.text_loading import load_frozen_text
from tests import tiny, tiny_models
from utils.cli_utils import UserError


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with one model of each kind."""
    root = tmp_path_factory.mktemp("models")
    tiny.write_sentence_encoder(root / "sentences")
    tiny_models.write_clip(root / "clip")
    tiny_models.write_bert(root / "bert")
    tiny_models.write_wav2vec2(root / "wav2vec2")
    tiny_models.write_clap(root / "clap")
    return root


def test_the_kinds(models):
    kinds = {name: load_frozen_text(str(models / name)).kind for name in ("sentences", "clip", "bert")}
    assert kinds == {"sentences": "sentence encoder", "clip": "CLIP", "bert": "sentence encoder"}


@torch.no_grad()
def test_a_plain_network_gives_the_mean_over_its_tokens_and_a_line_says_so(models, capsys):
    from transformers import AutoModel, AutoTokenizer

    folder = models / "bert"
    encoder = load_frozen_text(str(folder))
    assert capsys.readouterr().out == (
        f"{folder}: has no modules.json of sentence-transformers; a caption's vector is the mean over its tokens\n"
    )
    tokens = AutoTokenizer.from_pretrained(folder)("a dog barks", return_tensors="pt")
    expected = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state.mean(dim=1)
    np.testing.assert_allclose(encoder.vectors(["a dog barks", "a bell"])[:1], expected.numpy(), atol=1e-5)
    load_frozen_text(str(models / "sentences"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "message"), [("wav2vec2", "its tokenizer cannot be loaded: "), ("clap", "holds no tokenizer files")]
)
def test_networks_that_take_no_text_are_refused(models, name, message):
    with pytest.raises(UserError, match=rf"^key: .*/{name}: {message}"):
        load_frozen_text(str(models / name), "key")


def test_names_that_no_hub_can_serve():
    with pytest.raises(UserError, match=r"^key: no-such/name: cannot be loaded: We couldn't connect .*; name a folder"):
        load_frozen_text("no-such/name", "key")


def test_a_name_whose_config_stands_in_its_modules_is_a_sentence_encoder(models, monkeypatch):
    def no_config(model, key):
        raise UserError("no config.json")

    monkeypatch.setattr(text_loading, "read_config", no_config)
    known = "sentence_transformers.util.is_sentence_transformer_model"
    monkeypatch.setattr(known, lambda name, **_: name == "org/known")
    load = text_loading.load_sentence_encoder
    monkeypatch.setattr(
        text_loading, "load_sentence_encoder", lambda model, *rest: load(str(models / "sentences"), *rest)
    )
    assert load_frozen_text("org/known").width == 16
    with pytest.raises(UserError, match=r"no config\.json"):
        load_frozen_text("org/unknown")
