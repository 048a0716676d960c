"""A captioner of a small random Qwen3 and mean pooling, with clips: for the benchmarks of captioning."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from models.adapters.mean_pooling import MeanPoolingAdapterSpec
from models.captioner import Captioner
from models.frozen.language import FrozenLanguageModel

WIDTH, FRAMES, CAPTION, WORDS = 512, 250, 16, 8000


class Clips(NamedTuple):
    """A batch, as `Captioner.losses` takes it."""

    frames: Tensor  # (B, T, D)
    lengths: Tensor  # (B,)
    ids: Tensor  # (B, L)
    id_lengths: Tensor  # (B,)


def tiny_captioner(hidden_size: int, layers: int) -> Captioner:
    """Build the captioner, with random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    network = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=WORDS,
            hidden_size=hidden_size,
            intermediate_size=3 * hidden_size,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=hidden_size // 4,
            max_position_embeddings=512,
            eos_token_id=0,
        )
    ).eval()
    names = {"<end>": 0, **{f"word{number}": number for number in range(1, WORDS)}}
    words = Tokenizer(models.WordLevel(names, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<end>")
    language = FrozenLanguageModel("random Qwen3", network, tokenizer, "model.language_model.name")
    adapter = MeanPoolingAdapterSpec(name="MeanPoolingAdapter").build(WIDTH, hidden_size, language.embedding_scale)
    return Captioner(adapter, language, "word1 word2 {input} word3")


def noise_clips(count: int) -> Clips:
    """Draw clips of noise, with captions of random words."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(count, FRAMES, WIDTH, generator=generator)
    ids = torch.randint(1, WORDS, (count, CAPTION), generator=generator)
    return Clips(frames, torch.full((count,), FRAMES), ids, torch.full((count,), CAPTION))
