"""The text encoder of a CLIP, with its projection into the space that images, and here sounds, share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.frozen.hold import freeze
from models.frozen.text import TEXT_MODEL_KEY, FrozenTextEncoder
from utils.cli_utils import UserError
from utils.pretrained_utils import check_type, load_pretrained, read_config
from utils.text_utils.tokens import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

CLIP_TYPES = ("clip", "clip_text_model")
_LEGACY_END = 2  # in the configuration of OpenAI's checkpoints; CLIP then takes the highest id for a caption's end


class FrozenClipText(FrozenTextEncoder):
    """A CLIP's text network with its projection; the vectors are not of length 1.

    Args:
        name: as the YAML names it.
        network: frozen in place.
        tokenizer: its own.
    """

    def __init__(self, name: str, network: CLIPTextModelWithProjection, tokenizer: Tokenizer) -> None:
        freeze(network)
        super().__init__(name, "CLIP", network.text_projection.out_features, tokenizer.max_tokens)
        self._network = network
        self._tokenizer = tokenizer

    @torch.inference_mode()
    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed one batch of texts as (n, E); longer texts are truncated."""
        ids, mask = self._tokenizer(texts)
        device = self._network.device
        return self._network(input_ids=ids.to(device), attention_mask=mask.to(device)).text_embeds.cpu().numpy()

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text before truncation, start and end included."""
        return self._tokenizer.counts(texts)


def load_frozen_clip(model: str, key: str = TEXT_MODEL_KEY, device: torch.device | None = None) -> FrozenClipText:
    """Load the text encoder of a CLIP, frozen.

    Args:
        model: a folder or a name at a hub, of a whole CLIP or of its text network with the projection.
        key: of the YAML, for messages.
        device: to run on; None: the GPU if there is one.
    Raises:
        UserError: see `load_clip_network` and `load_clip_tokenizer`.
    """
    tokenizer = load_clip_tokenizer(model, key)
    network: Any = load_clip_network(model, key)  # Any: mypy misreads transformers' own `to`
    return FrozenClipText(model, network.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), tokenizer)


def load_clip_network(model: str, key: str) -> CLIPTextModelWithProjection:
    """Load a CLIP's text network with its projection, in eval mode on the CPU.

    Raises:
        UserError: no such model, one that is no CLIP, or one that misses weights, such as those of the projection.
    """
    from transformers import CLIPTextModelWithProjection

    # old checkpoints hold the numbers of the positions too, new ones do not
    config = read_clip_config(model, key)
    return load_pretrained(CLIPTextModelWithProjection, model, key, may_be_missing={"position_ids"}, config=config)


def load_clip_tokenizer(model: str, key: str, max_tokens: int | None = None) -> Tokenizer:
    """Load a CLIP's tokenizer.

    Args:
        model: see `load_frozen_clip`.
        key: of the YAML, for messages; `max_tokens` is a key of the same block.
        max_tokens: truncate captions to this number of tokens, start and end included; None: the model's maximum.
    Raises:
        UserError: see `load_tokenizer`; or a tokenizer that ends captions with another token than CLIP looks for.
    """
    config = read_clip_config(model, key)
    tokenizer = load_tokenizer(model, key, config.max_position_embeddings, config.vocab_size, max_tokens)
    if config.eos_token_id not in (_LEGACY_END, tokenizer.eos_token_id):
        raise UserError(
            f"{key}: {model}: its tokenizer ends captions with token {tokenizer.eos_token_id}, its network looks for "
            f"{config.eos_token_id}; take tokenizer and weights from one model"
        )
    return tokenizer


def read_clip_config(model: str, key: str) -> CLIPTextConfig:
    """Read the configuration of a CLIP's text network, with the width of its projection.

    Raises:
        UserError: no such model, or one that is no CLIP.
    """
    config: Any = read_config(model, key)
    if check_type(config, CLIP_TYPES, model, key) == "clip_text_model":
        return config
    # Where the two differ, as in laion's large models, the whole model's own width is right.
    # Source: https://github.com/huggingface/transformers/issues/25622
    config.text_config.projection_dim = config.projection_dim
    return config.text_config
