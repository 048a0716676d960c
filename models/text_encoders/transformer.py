"""Any encoder-only text transformer, such as BERT, RoBERTa or the one inside a sentence encoder."""

from __future__ import annotations

import functools
import inspect
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from models.text_encoders.token_encoder import TokenEncoder
from utils.cli_utils import UserError
from utils.config_utils import Spec, read_json
from utils.pretrained_utils import find_model, load_pretrained, read_config
from utils.text_utils import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_KEY = "model.text_encoder.model"
# Model types whose positions are numbered from the id of the padding token plus 1, so that fewer tokens fit than there
# are position embeddings. Source: transformers, modeling_roberta.py.
_LATE_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")


class TransformerTextEncoder(TokenEncoder):
    """A transformer's last hidden states, pooled over a caption, and one linear layer into the shared space.

    Args:
        network: an encoder-only transformer, without its own pooling layer.
        out_dim: E of the output.
        frozen_source: see `TokenEncoder`.
        pooling: "mean" over a caption's own tokens, special ones included, as sentence encoders do; "cls": the first.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        out_dim: int,
        frozen_source: str | None = None,
        pooling: Literal["mean", "cls"] = "mean",
    ) -> None:
        super().__init__(network, network.config.hidden_size, out_dim, frozen_source)
        self.pooling = pooling

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Pool the last hidden states: (B, E) float32."""
        hidden = self.network(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.pooling == "cls":
            return hidden[:, 0]
        own = mask.to(hidden.dtype)[:, :, None]
        return (hidden * own).sum(1) / own.sum(1).clamp(min=1)


class TransformerTextSpec(Spec):
    """The `text_encoder:` block of an encoder-only transformer."""

    input: ClassVar[Literal["tokens"]] = "tokens"

    name: Literal["TransformerTextEncoder"]
    model: str  # package:NAME, a folder (also of sentence-transformers), or a name that a hub knows
    trainable: bool = True  # False: only the last layer learns
    pooling: Literal["mean", "cls"] = "mean"  # over a caption's tokens
    max_tokens: int | None = Field(None, ge=3)  # longer captions are truncated; null: to the model's limit

    def tokenizer(self) -> Tokenizer:
        """Load the tokenizer of this encoder.

        Raises:
            UserError: see `load_tokenizer`.
        """
        model = _transformer_of(self.model)
        config = _encoder_config(model)
        return load_tokenizer(model, _KEY, _positions(config), config.vocab_size, self.max_tokens)

    def build(self, out_dim: int, text_dim: int = 0) -> TransformerTextEncoder:
        """Build the encoder, with its pretrained weights.

        Args:
            out_dim: E of the shared space.
            text_dim: ignored; only encoders on vectors use it.
        Raises:
            UserError: no such model, not a text encoder, or incomplete or broken files.
        """
        model = _transformer_of(self.model)
        network = load_pretrained(_without_pooler(_encoder_config(model)), model, _KEY)
        return TransformerTextEncoder(network, out_dim, None if self.trainable else self.model, self.pooling)


def _transformer_of(model: str) -> str:
    """Return the model; of a sentence-transformers folder with the transformer in a subfolder, that subfolder."""
    source = find_model(model, _KEY)
    if not isinstance(source, Path) or (source / "config.json").is_file():
        return str(source)
    modules = source / "modules.json"
    try:
        first = read_json(modules)[0]["path"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{_KEY}: {modules}: names no first module; get the model's files again") from error
    return str(source / str(first))


def _encoder_config(model: str) -> PretrainedConfig:
    """Read the configuration of a model with bidirectional attention.

    Raises:
        UserError: the model is of another kind.
    """
    config = read_config(model, _KEY)
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    # transformers has no list of bidirectional text models; those for masked language modelling are the nearest to it
    bidirectional = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and hasattr(config, "vocab_size")
    if not bidirectional or config.is_encoder_decoder or getattr(config, "is_decoder", False):
        raise UserError(
            f"{_KEY}: {model}: the model's type is {config.model_type}, expected an encoder of text such as bert or "
            "roberta; name another model"
        )
    return config


def _positions(config: PretrainedConfig) -> int:
    """Return the largest number of tokens that the network takes."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    return positions - config.pad_token_id - 1 if config.model_type in _LATE_POSITIONS else positions


def _without_pooler(config: PretrainedConfig) -> Any:
    """Return the class of the network, to be built without its pooling layer, which many checkpoints do not have."""
    from transformers import MODEL_MAPPING

    network: Any = MODEL_MAPPING[type(config)]
    if "add_pooling_layer" not in inspect.signature(network).parameters:
        return network
    return types.SimpleNamespace(
        __name__=network.__name__,
        config_class=network.config_class,
        build=functools.partial(network, add_pooling_layer=False),
        from_pretrained=functools.partial(network.from_pretrained, add_pooling_layer=False),
    )
