"""Captions to tokens, as a pretrained text model wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from utils.cli_utils import UserError
from utils.pretrained_utils import find_model, local_only, reason_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Tokens(NamedTuple):
    """Captions of one batch, padded to the longest."""

    ids: Tensor  # (B, L) int64
    mask: Tensor  # (B, L) int64, 1 at a caption's own tokens


class Tokenizer:
    """Captions -> tokens, cut to what the text model takes.

    A caption that is cut keeps its special tokens, so that the model still finds where it ends.

    Attributes:
        max_tokens: of one caption, special tokens among them.
        truncated: captions cut so far.

    Args:
        tokenizer: of transformers, with a token to pad with.
        max_tokens: see above.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        self.max_tokens, self.truncated = max_tokens, 0
        self._tokenizer = tokenizer

    @property
    def pretrained(self) -> PreTrainedTokenizerBase:
        """The tokenizer of transformers."""
        return self._tokenizer

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a caption; None: there is none."""
        return self._tokenizer.eos_token_id

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each caption, special tokens among them, before any is cut."""
        return count_tokens(self._tokenizer, texts)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Tokens of a batch of captions.

        Args:
            texts: one or more captions.
        Returns:
            (B, L) ids and mask, L at most `max_tokens`; padded on the right.
        """
        batch = self._tokenizer(
            list(texts),
            padding="longest",
            truncation=True,
            max_length=self.max_tokens,
            padding_side="right",
            return_attention_mask=True,
            return_tensors="pt",
        )
        ids, mask = batch["input_ids"], batch["attention_mask"]
        full = [text for text, count in zip(texts, mask.sum(1).tolist(), strict=True) if count == self.max_tokens]
        if full:
            self.truncated += sum(count > self.max_tokens for count in self.counts(full))
        return Tokens(ids.to(torch.int64), mask.to(torch.int64))


def load_tokenizer(model: str, key: str, positions: int, vocabulary: int, max_tokens: int | None = None) -> Tokenizer:
    """Load the tokenizer of a pretrained text model.

    Args:
        model: see `find_model`.
        key: of the YAML, for messages; `max_tokens` is a key of the same section.
        positions: tokens that the network takes.
        vocabulary: how many tokens the network knows.
        max_tokens: cut captions to so many tokens, special tokens among them; None: to what the model takes.
    Raises:
        UserError: no such model, no usable tokenizer files, a tokenizer that does not fit the network or cannot pad,
            or more tokens than the model takes.
    """
    tokenizer = read_tokenizer(model, key)
    check_tokenizer(tokenizer, vocabulary, model, key)
    if tokenizer.pad_token_id is None:
        raise UserError(
            f"{key}: {model}: its tokenizer has no token to pad with; set pad_token in its tokenizer_config.json"
        )
    limit = min(positions, tokenizer.model_max_length)
    if max_tokens is not None and max_tokens > limit:
        raise UserError(
            f"{key.rpartition('.')[0]}.max_tokens: {max_tokens}, but {model} takes {limit} tokens; "
            f"set {limit} or less, or null"
        )
    return Tokenizer(tokenizer, max_tokens or limit)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, vocabulary: int, model: str, key: str) -> None:
    """Refuse a tokenizer that does not fit its network.

    Raises:
        UserError: the tokenizer has special tokens alone, which is what transformers makes of a folder without its
            files (all captions would look alike), or more tokens than the network knows.
    """
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise UserError(f"{key}: {model}: holds no tokenizer files; get the model's files again")
    # ids need not be without gaps
    count = max(len(tokenizer), 1 + max(tokenizer.get_vocab().values()))
    if count > vocabulary:
        raise UserError(
            f"{key}: {model}: its tokenizer has {count} tokens, its network knows {vocabulary}; "
            "take tokenizer and weights from one model"
        )


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """Count the tokens of each text before truncation, special tokens included."""
    if not texts:
        return []
    # not verbose: long texts are expected
    return [len(ids) for ids in tokenizer(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]]


def read_tokenizer(model: str, key: str) -> PreTrainedTokenizerBase:
    """Read the tokenizer files of a pretrained model.

    Raises:
        UserError: no such model, or no usable tokenizer files.
    """
    source = find_model(model, key)
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(source), trust_remote_code=False, local_files_only=local_only(source))
    except Exception as error:  # the tokenizers library raises plain Exception on a broken file
        raise UserError(
            f"{key}: {model}: its tokenizer cannot be loaded: {reason_of(error)}; name a model with tokenizer files"
        ) from error
