from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, CLIPModel

from models.text_encoders import TextEncoderSpec
from models.text_encoders.clip import CLIPTextSpec
from tests import tiny_models
from tests.models.text_encoders.token_encoders import check_embeddings, check_frozen, check_trainable
from utils.cli_utils import UserError
from utils.config_utils import parse

TEXTS = ["a dog", "rain falls and then a bell rings twice", "loud"]


def spec_of(folder: Path, **keys: object) -> CLIPTextSpec:
    return parse({"name": "CLIPTextEncoder", "model": str(folder), **keys}, TextEncoderSpec, "")


@pytest.fixture(params=[False, True], ids=["eos", "legacy-eos"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tiny_models.write_clip(tmp_path / "clip", legacy_eos=request.param)


@torch.inference_mode()
def test_embeddings_are_those_of_clip_on_one_caption(folder: Path):
    spec = spec_of(folder)
    encoder = spec.build(5, 0).eval()
    embeddings = encoder.embed(*spec.tokenizer()(TEXTS))
    model, tokenizer = CLIPModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, embedding in zip(TEXTS, embeddings, strict=True):
        expected = model.get_text_features(**tokenizer([text], return_tensors="pt")).pooler_output[0]
        torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=0)


def test_an_embedding_is_the_same_alone_and_in_any_batch(folder: Path):
    check_embeddings(spec_of(folder))


def test_a_frozen_network_is_unchanged_to_the_bit(folder: Path):
    check_frozen(spec_of(folder, trainable=False))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_trainable_network_learns(folder: Path, precision: torch.dtype):
    check_trainable(spec_of(folder), precision)


@torch.inference_mode()
def test_a_caption_that_is_cut_is_still_read_at_its_end(folder: Path):
    spec = spec_of(folder)
    tokenizer, encoder = spec.tokenizer(), spec.build(5, 0).eval()
    beginnings = [f"{first} " + "dog " * 100 for first in ("rain", "bell")]
    tokens = tokenizer(beginnings)
    assert (tokens.ids.shape, tokenizer.truncated) == ((2, 77), 2)
    assert tokens.ids[:, -1].tolist() == [tokenizer.eos_token_id] * 2
    first, second = encoder(*tokens)
    assert (first - second).abs().max() > 1e-3


def test_the_default_is_openais_clip():
    spec = parse({"name": "CLIPTextEncoder"}, TextEncoderSpec, "")
    assert (spec.model, spec.trainable, spec.input) == ("openai/clip-vit-base-patch32", True, "tokens")


def test_another_model_and_a_foreign_tokenizer_are_refused(tmp_path: Path):
    bert = tiny_models.write_bert(tmp_path / "bert")
    message = rf"^model.text_encoder.model: {bert}: the model's type is bert, expected clip or clip_text_model; name an"
    with pytest.raises(UserError, match=message):
        spec_of(bert).build(5, 0)
    with pytest.raises(UserError, match=message):
        spec_of(bert).tokenizer()
    clip = tiny_models.write_clip(tmp_path / "clip")
    path = clip / "config.json"
    path.write_text(path.read_text().replace('"eos_token_id": 92', '"eos_token_id": 7'))
    with pytest.raises(UserError, match="its tokenizer ends captions with token 92, its network looks for 7; take tok"):
        spec_of(clip).tokenizer()
