"""Frozen causal language models: a caption's tokens in, the next token's logits out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from models.frozen.hold import freeze
from utils.cli_utils import ConfigError, UserError
from utils.pretrained_utils import load_pretrained, model_revision, read_config, reason_of
from utils.text_utils.tokens import check_tokenizer, read_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

LANGUAGE_MODEL_KEY = "model.language_model.name"
INPUT = "{input}"  # in a prompt: where the tokens of the sound or picture are


class PromptIds(NamedTuple):
    """The tokens of a prompt."""

    before: list[int]  # the input
    after: list[int]


class FrozenLanguageModel:
    """A causal language model of transformers that is not trained, with its tokenizer.

    Attributes:
        name: as the YAML names it.
        network: in eval mode, without gradients.
        tokenizer: its own.
        hidden_size: H of its input embeddings.
        context: how many tokens it takes, those that it writes included.
        end: the token that ends a caption.
        unknown: the token of words that it does not know; None: its tokenizer spells every word.
        ends: the tokens that end what the model writes: `end`, and those that the model's own settings name.

    Args:
        name: see above.
        network: frozen in place.
        tokenizer: see above.
        key: of the YAML, for messages.
    Raises:
        UserError: the tokenizer has no token that ends a text.
    """

    def __init__(self, name: str, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, key: str) -> None:
        from transformers import GenerationConfig

        freeze(network, source=name)
        self.name, self.network, self.tokenizer, self._key = name, network, tokenizer, key
        config: Any = network.config.get_text_config()
        self.hidden_size = int(config.hidden_size)
        self.context = int(config.max_position_embeddings)
        if tokenizer.eos_token_id is None:
            raise UserError(
                f"{key}: {name}: its tokenizer has no eos_token, so that no caption would end; name another"
            )
        self.end = int(tokenizer.eos_token_id)
        spells = tokenizer.unk_token_id in (None, self.end)  # some chat models name one token for both
        self.unknown = None if spells else int(tokenizer.unk_token_id)
        named: Any = getattr(network.generation_config, "eos_token_id", None)
        others = named if isinstance(named, list) else [] if named is None else [named]
        self.ends = list(dict.fromkeys([self.end, *map(int, others)]))
        # generate() fills whatever it is not given from here: a model's own penalties would change what is greedy
        network.generation_config = GenerationConfig(eos_token_id=self.ends, pad_token_id=self.end)

    @functools.cached_property
    def revision(self) -> str:
        """A digest of the weights; it changes when a model of the same name does."""
        return model_revision(self.name)

    @property
    def embeddings(self) -> Tensor:
        """The input embedding of every token, (V, H)."""
        weight: Any = self.network.get_input_embeddings().weight
        return weight

    @functools.cached_property
    def embedding_scale(self) -> float:
        """Root mean square of the entries of the input embeddings."""
        return float(torch.linalg.vector_norm(self.embeddings, dtype=torch.float32)) / self.embeddings.numel() ** 0.5

    def caption_ids(self, text: str) -> list[int]:
        """Cut a caption into tokens, and end it: what the model has to predict."""
        # A caption that spells a special token, such as <|im_end|>, does not end itself: the tokenizer splits it, and
        # where it is a word of the vocabulary, it is left out.
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        return [*(token for token in ids if token not in self.ends), self.end]

    def prompt_ids(self, prompt: str, *, chat: bool) -> PromptIds:
        """Cut a prompt into the tokens before the input and those after it.

        Prompt, input and caption are cut apart: a tokenizer may merge letters across a border, and then training would
        see other tokens than generation.

        Args:
            prompt: `{input}` in it is the place of the input; without, the input comes first.
            chat: the prompt is a user's message, and the caption the model's answer; its chat template writes the rest.
        Raises:
            ConfigError: `{input}` occurs more than once, or the tokenizer has no usable chat template.
        """
        text = prompt if INPUT in prompt else f"{INPUT}{prompt}"
        if text.count(INPUT) > 1:
            raise ConfigError(f"{self._section}.prompt: has {INPUT} {text.count(INPUT)} times, expected once")
        if chat:
            text = self._in_chat(text)
        before, _, after = text.partition(INPUT)
        return PromptIds(([] if chat else self._start()) + self._ids(before), self._ids(after))

    def decode(self, ids: Sequence[Sequence[int]] | Tensor) -> list[str]:
        """Join the tokens of each caption to text, up to its end, without special tokens or outer blanks."""
        rows = ids.tolist() if isinstance(ids, Tensor) else [list(row) for row in ids]
        ends = set(self.ends)
        captions = [row[: next((place for place, token in enumerate(row) if token in ends), len(row))] for row in rows]
        texts = self.tokenizer.batch_decode(captions, skip_special_tokens=True)
        return [" ".join(str(text).split()) for text in texts]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) if text else []

    def _start(self) -> list[int]:
        """The token that this model expects at the start of a text, if it expects one."""
        start = self.tokenizer.bos_token_id
        return [start] if start is not None and self.tokenizer("")["input_ids"][:1] == [start] else []

    def _in_chat(self, message: str) -> str:
        from jinja2 import TemplateError

        if not self.tokenizer.chat_template:
            raise ConfigError(f"{self._section}.chat: true, but {self.name} has no chat template; set it to false")
        turn = {"role": "user", "content": message}
        try:
            # Qwen3 would otherwise think aloud before each caption; templates without the word ignore it
            text = self.tokenizer.apply_chat_template(
                [turn], tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{self._section}.chat: true, but the chat template of {self.name} fails ({reason_of(error)}); "
                "set it to false"
            ) from error
        if str(text).count(INPUT) != 1:
            raise ConfigError(
                f"{self._section}.chat: true, but the chat template of {self.name} writes the message "
                f"{str(text).count(INPUT)} times, expected once; set it to false"
            )
        return str(text)

    @property
    def _section(self) -> str:
        return self._key.rpartition(".")[0]


def load_frozen_language(
    model: str, key: str = LANGUAGE_MODEL_KEY, dtype: torch.dtype = torch.float32
) -> FrozenLanguageModel:
    """Load a causal language model, frozen, on the CPU.

    Args:
        model: `package:smollm2`, a folder, or a name at a hub; such as Qwen3 or SmolLM2.
        key: of the YAML, for messages.
        dtype: of its weights and arithmetic: float32 or bfloat16.
    Raises:
        UserError: no such model, one that writes no text, or files that are missing, broken, or do not fit together.
    """
    config = read_config(model, key)
    network = load_pretrained(_network_of(config, model, key), model, key, dtype=dtype)
    tokenizer = read_tokenizer(model, key)
    check_tokenizer(tokenizer, int(config.get_text_config().vocab_size), model, key)
    _check_head(network, model, key)
    _check_cache(network, model, key)
    return FrozenLanguageModel(model, network, tokenizer, key)


def _network_of(config: PretrainedConfig, model: str, key: str) -> type[PreTrainedModel]:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    networks: Any = MODEL_FOR_CAUSAL_LM_MAPPING
    # BERT and its kin are in the table too, for those who make decoders of them
    if type(config) not in networks or config.is_encoder_decoder or getattr(config, "is_decoder", None) is False:
        raise UserError(
            f"{key}: {model}: a {config.model_type} is no causal language model; name one, such as Qwen/Qwen3-0.6B"
        )
    network: type[PreTrainedModel] = networks[type(config)]
    return network


@torch.inference_mode()
def _check_cache(network: PreTrainedModel, model: str, key: str) -> None:
    """Refuse a model without keys and values of what it has read, such as Mamba: a batch shares those of the prompt."""
    config: Any = network.config.get_text_config()
    weight: Any = network.get_input_embeddings().weight
    output = network.base_model(inputs_embeds=weight[None, :2], use_cache=True)
    if getattr(output, "past_key_values", None) is None or not hasattr(config, "max_position_embeddings"):
        raise UserError(
            f"{key}: {model}: a {config.model_type} has no cache of keys and values, by which captions are written; "
            "name another, such as Qwen/Qwen3-0.6B"
        )


@torch.inference_mode()
def _check_head(network: PreTrainedModel, model: str, key: str) -> None:
    """Refuse a model whose logits are more than its last layer.

    The captioner applies that layer to the positions of captions alone; some models (Gemma 2, Cohere) also scale or
    bound their logits, which would be left out.
    """
    head: nn.Module | None = network.get_output_embeddings()
    weight: Any = network.get_input_embeddings().weight
    inputs = weight[None, :2]
    whole = network(inputs_embeds=inputs, use_cache=False).logits
    own = None if head is None else head(network.base_model(inputs_embeds=inputs, use_cache=False).last_hidden_state)
    if own is None or not torch.allclose(own, whole.to(own.dtype), rtol=1e-3, atol=1e-3):
        raise UserError(
            f"{key}: {model}: its logits are more than its last layer's, which is not supported; name another"
        )
