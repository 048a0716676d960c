"""Tiny random causal language models with a tokenizer of whole words, saved as transformers saves its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tests.tiny import WORDS

HIDDEN = 32
_CHAT = (
    "{% for message in messages %}<start> {{ message['role'] }} {{ message['content'] }} <end>{% endfor %}"
    "{% if add_generation_prompt %}<start> assistant {% endif %}"
)


def write_qwen3(folder: Path, seed: int = 0, words: Sequence[str] = WORDS, **settings: object) -> Path:
    """A Qwen3 of two layers.

    Its weights are fifty times as large as transformers' own initial ones: those give nearly the same logits whatever
    the input, so that no adapter can steer them.

    Args:
        folder: to be made.
        seed: of the weights.
        words: that its tokenizer knows, besides those of its chat template.
        settings: further ones of Qwen3Config.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return _save(Qwen3ForCausalLM, Qwen3Config, folder, seed, words, {"head_dim": 16} | settings)


def write_llama(folder: Path, seed: int = 0, words: Sequence[str] = WORDS, **settings: object) -> Path:
    """A Llama of two layers, the architecture of SmolLM2; arguments as of `write_qwen3`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return _save(LlamaForCausalLM, LlamaConfig, folder, seed, words, settings)


def _save(
    network: Any, config: Any, folder: Path, seed: int, words: Sequence[str], settings: dict[str, object]
) -> Path:
    tokenizer = word_tokenizer(words)
    small = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
        "initializer_range": 1.0,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    network(config(**small | settings)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def word_tokenizer(words: Sequence[str]) -> Any:
    """A tokenizer of whole words, with a chat template."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    entries = ["<pad>", "<unk>", "<start>", "<end>", "user", "assistant", *dict.fromkeys(words)]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(entries)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=["<start>"],
        chat_template=_CHAT,
    )
