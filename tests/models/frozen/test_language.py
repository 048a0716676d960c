"""A frozen language model: what it reads and writes, and which folders are refused."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import GenerationConfig, MambaConfig, MambaForCausalLM

from models.frozen.language import load_frozen_language
from tests.tiny import WORDS
from tests.tiny_language import HIDDEN, word_tokenizer, write_llama, write_qwen3
from tests.tiny_models import write_bert, write_wav2vec2
from utils.cli_utils import ConfigError, UserError


@pytest.mark.parametrize("write", [write_qwen3, write_llama])
def test_a_language_model_is_frozen_and_describes_itself(tmp_path, write):
    language = load_frozen_language(str(write(tmp_path / "lm")))
    end = language.tokenizer.convert_tokens_to_ids("<end>")
    assert (language.hidden_size, language.context, language.ends) == (HIDDEN, 128, [end])
    assert not language.network.training
    assert not any(parameter.requires_grad for parameter in language.network.parameters())
    assert language.network.frozen_source == str(tmp_path / "lm")
    assert math.isclose(language.embedding_scale, language.embeddings.square().mean().sqrt().item(), rel_tol=1e-5)
    assert language.revision.startswith("sha256:")


def test_a_caption_ends_once_also_where_it_spells_the_end(tmp_path):
    language = load_frozen_language(str(write_qwen3(tmp_path / "lm")))
    a, dog = language.tokenizer.convert_tokens_to_ids(["a", "dog"])
    assert language.caption_ids(" a dog ") == [a, dog, language.end]
    assert language.caption_ids("a <end> dog") == [a, dog, language.end]
    assert language.decode([[a, dog, language.end, dog], [dog, dog]]) == ["a dog", "dog dog"]


def test_all_ends_that_a_model_names_end_a_caption_and_its_other_settings_are_dropped(tmp_path):
    folder = write_qwen3(tmp_path / "lm")
    dog, rain = word_tokenizer(WORDS).convert_tokens_to_ids(["dog", "rain"])
    GenerationConfig(eos_token_id=[dog], repetition_penalty=1.5, min_new_tokens=3).save_pretrained(folder)
    language = load_frozen_language(str(folder))
    assert language.ends == [language.end, dog]
    assert language.decode([[rain, dog, rain]]) == ["rain"]
    settings = language.network.generation_config
    assert (settings.repetition_penalty, settings.min_new_tokens) == (None, None)


def test_the_input_has_its_place_in_the_prompt_and_in_the_users_turn(tmp_path):
    language = load_frozen_language(str(write_qwen3(tmp_path / "lm")))
    a, bell, rain, start, end, user, assistant = language.tokenizer.convert_tokens_to_ids(
        ["a", "bell", "rain", "<start>", "<end>", "user", "assistant"]
    )
    assert language.prompt_ids("a {input} bell rain", chat=False) == ([a], [bell, rain])
    assert language.prompt_ids("bell", chat=False) == ([], [bell])
    assert language.prompt_ids("a {input} bell", chat=True) == ([start, user, a], [bell, end, start, assistant])
    with pytest.raises(ConfigError, match=r"model\.language_model\.prompt: has \{input\} 2 times, expected once"):
        language.prompt_ids("{input} {input}", chat=False)


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (None, "has no chat template"),
        ("{{ raise_exception('no users') }}", r"fails \(no users\)"),
        ("{% for", "fails"),
        ("hello", "writes the message 0 times, expected once"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_refused_in_one_line(tmp_path, template, found):
    language = load_frozen_language(str(write_qwen3(tmp_path / "lm")))
    language.tokenizer.chat_template = template
    with pytest.raises(ConfigError, match=rf"model\.language_model\.chat: true, but .*{found}.*; set it to false"):
        language.prompt_ids("a", chat=True)


def test_what_is_no_causal_language_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="a bert is no causal language model; name one, such as Qwen"):
        load_frozen_language(str(write_bert(tmp_path / "bert")))
    with pytest.raises(UserError, match="a wav2vec2 is no causal language model"):
        load_frozen_language(str(write_wav2vec2(tmp_path / "wav2vec2")))


def test_a_language_model_without_keys_and_values_is_refused(tmp_path):
    """Of it, the prompt could not be read once for all clips of a batch."""
    tokenizer = word_tokenizer(WORDS)
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, state_size=2)
    MambaForCausalLM(config).save_pretrained(tmp_path / "mamba")
    tokenizer.save_pretrained(tmp_path / "mamba")
    with pytest.raises(UserError, match=r"a mamba has no cache of keys and values, .*; name another, such as Qwen"):
        load_frozen_language(str(tmp_path / "mamba"))


def test_a_folder_without_weights_is_refused(tmp_path):
    folder = write_qwen3(tmp_path / "lm")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"lm: cannot be loaded: .*no file named model\.safetensors"):
        load_frozen_language(str(folder))


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    folder = write_qwen3(tmp_path / "lm")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError, match="tokenizer"):
        load_frozen_language(str(folder))


def test_a_tokenizer_with_tokens_that_the_network_does_not_know_is_refused(tmp_path):
    folder = write_qwen3(tmp_path / "lm")
    word_tokenizer([*WORDS, "thunder"]).save_pretrained(folder)
    with pytest.raises(
        UserError, match="its tokenizer has 21 tokens, its network knows 20; take tokenizer and weights"
    ):
        load_frozen_language(str(folder))


def test_weights_have_the_type_that_is_named(tmp_path):
    folder = str(write_qwen3(tmp_path / "lm"))
    assert load_frozen_language(folder).network.dtype == torch.float32
    assert load_frozen_language(folder, dtype=torch.bfloat16).network.dtype == torch.bfloat16
