"""A small language model of captions: a Qwen3 of 1 M parameters and a tokenizer of words, both made of captions alone.

It is for those who have no pretrained language model at hand, and writes the language of one corpus only. It learns
from the captions of each clip one after the other, so that it knows how to describe again what comes before: this is
what a captioner's adapter needs, which puts tokens of a sound or picture there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

END, UNKNOWN = "<|end|>", "<|unknown|>"
CONTEXT = 256  # tokens
_IGNORED = -100
_WORD = r" ?\w+(?:['’-]\w+)*| ?[^\w\s]"  # a word with the blank before it, or a character of punctuation


class SmallModelSettings(NamedTuple):
    """Size of the network, and how it is trained."""

    hidden_size: int
    layers: int
    vocabulary: int  # largest number of tokens
    steps: int
    batch_clips: int
    learning_rate: float
    seed: int


class Perplexity(NamedTuple):
    """exp of the mean loss of a token of held-out captions, their ends included; lower is better."""

    alone: float  # each caption alone
    after_others: float  # the last caption of each clip, after the others


def word_tokenizer(captions: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Build a tokenizer of lower-case words and punctuation; decoding gives back the text, without doubled blanks.

    Args:
        captions: whose words are tokens, the most frequent first.
        vocabulary: largest number of tokens; other words become the unknown token.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    pieces.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Replace(Regex(r" (?=[.,;:!?)]|$)"), ""),
            normalizers.Replace(Regex(r"^ ?(?=.)"), " "),
        ]
    )
    pieces.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "isolated")
    pieces.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = _counted(pieces, captions)
    frequent = sorted(words, key=lambda word: (-words[word], word))[: vocabulary - 2]
    ids = {token: number for number, token in enumerate([END, UNKNOWN, *frequent])}
    pieces.model = models.WordLevel(ids, unk_token=UNKNOWN)
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token=END, pad_token=END, unk_token=UNKNOWN, model_max_length=CONTEXT
    )


def _counted(pieces: Tokenizer, captions: Sequence[str]) -> Counter[str]:
    normalizer, splitter = pieces.normalizer, pieces.pre_tokenizer
    return Counter(word for text in captions for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))


def caption_documents(tokenizer: PreTrainedTokenizerFast, clips: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    """Tokenise the captions of each clip, each with the end token after it."""
    flat = tokenizer([text for captions in clips for text in captions], add_special_tokens=False)["input_ids"]
    ids = iter(flat)
    return [[[*next(ids), tokenizer.eos_token_id][-CONTEXT + 1 :] for _ in captions] for captions in clips]


def new_language_model(tokenizer: PreTrainedTokenizerFast, settings: SmallModelSettings) -> Qwen3ForCausalLM:
    """Build the network with seeded weights."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    heads = max(1, settings.hidden_size // 32)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=3 * settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return Qwen3ForCausalLM(config)


def train_language_model(
    network: Qwen3ForCausalLM,
    documents: Sequence[Sequence[Sequence[int]]],
    held_out: Sequence[Sequence[Sequence[int]]],
    settings: SmallModelSettings,
    advance: Callable[[float], object],
) -> Perplexity:
    """Train by next-token prediction; the weights are then those that were best on the held-out captions.

    Args:
        network: see `new_language_model`.
        documents: of `caption_documents`, of training.
        held_out: the same of validation; never trained on.
        settings: steps, seed and learning rate.
        advance: called after each step with its loss, nats a token.
    """
    end = _end_of(network)
    random = torch.Generator().manual_seed(settings.seed)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step, settings.steps))
    order: list[int] = []
    best: tuple[float, dict[str, Tensor]] | None = None
    interval = max(1, settings.steps // 8)
    for step in range(1, settings.steps + 1):
        network.train()
        if len(order) < settings.batch_clips:
            order += torch.randperm(len(documents), generator=random).tolist()
        chosen, order = order[: settings.batch_clips], order[settings.batch_clips :]
        loss = _loss(network, [_in_random_order(documents[number], random) for number in chosen], end)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        advance(loss.item())
        if step % interval == 0 or step == settings.steps:
            found = perplexity(network, held_out)
            if best is None or found.after_others < best[0]:
                best = found.after_others, {name: value.clone() for name, value in network.state_dict().items()}
    assert best is not None
    network.load_state_dict(best[1])
    return perplexity(network.eval(), held_out)


def _end_of(network: Qwen3ForCausalLM) -> int:
    end = network.config.eos_token_id
    assert isinstance(end, int)
    return end


def _share_of_rate(step: int, steps: int) -> float:
    """Warm up over a twentieth of the steps, then fall along a cosine to a twentieth of the rate."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _in_random_order(captions: Sequence[Sequence[int]], random: torch.Generator) -> list[int]:
    """Join the captions of a clip; the last ones are cut where they exceed the context."""
    order = torch.randperm(len(captions), generator=random).tolist()
    return [token for number in order for token in captions[number]][: CONTEXT - 1]


def _batch(rows: Sequence[Sequence[int]], end: int) -> tuple[Tensor, Tensor]:
    """Inputs (B, L) that start with the end token, and labels (B, L) shifted by one; padding is labelled -100."""
    longest = max(map(len, rows))
    inputs = torch.full((len(rows), longest), end)
    labels = torch.full((len(rows), longest), _IGNORED)
    for number, row in enumerate(rows):
        inputs[number, 1 : len(row)] = torch.tensor(row[:-1])
        labels[number, : len(row)] = torch.tensor(row)
    return inputs, labels


def _loss(network: Qwen3ForCausalLM, rows: Sequence[Sequence[int]], end: int) -> Tensor:
    inputs, labels = _batch(rows, end)
    # causal, and the padding comes last: no attention mask is needed
    return F.cross_entropy(network(inputs, use_cache=False).logits.flatten(0, 1), labels.flatten())


@torch.no_grad()
def perplexity(network: Qwen3ForCausalLM, documents: Sequence[Sequence[Sequence[int]]]) -> Perplexity:
    """Measure the perplexity of captions; lower is better.

    Args:
        network: is put in eval mode.
        documents: of `caption_documents`.
    """
    network.eval()
    end = _end_of(network)
    single = [(list(caption), len(caption)) for captions in documents for caption in captions]
    joined = [
        ([token for caption in captions for token in caption][-CONTEXT + 1 :], len(captions[-1]))
        for captions in documents
        if len(captions) > 1
    ]
    return Perplexity(_perplexity(network, single, end), _perplexity(network, joined or single, end))


def _perplexity(network: Qwen3ForCausalLM, rows: Sequence[tuple[list[int], int]], end: int) -> float:
    """Of the last tokens of each row: so many as the number beside it."""
    total, count = 0.0, 0
    rows = sorted(rows, key=lambda row: len(row[0]))  # of similar length, for less padding
    for start in range(0, len(rows), 64):
        chunk = rows[start : start + 64]
        inputs, labels = _batch([row for row, _ in chunk], end)
        for number, (row, measured) in enumerate(chunk):
            labels[number, : len(row) - measured] = _IGNORED
        logits = network(inputs, use_cache=False).logits
        total += F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum").item()
        count += int((labels != _IGNORED).sum())
    return math.exp(total / count)


def save_language_model(network: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write config.json, generation_config.json, model.safetensors and the tokenizer, as transformers reads them."""
    import transformers.utils.logging as transformers_logging

    transformers_logging.disable_progress_bar()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
