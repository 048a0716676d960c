"""CLIP's text encoder with its projection.

Source: Radford et al. 2021, "CLIP"; transformers, models/clip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from models.frozen.clip_text import load_clip_network, load_clip_tokenizer
from models.text_encoders.token_encoder import TokenEncoder
from utils.config_utils import Spec
from utils.text_utils import Tokenizer

if TYPE_CHECKING:
    from transformers import CLIPTextModelWithProjection

_KEY = "model.text_encoder.model"


class CLIPTextEncoder(TokenEncoder):
    """CLIP's text embedding, the output at a caption's end token, and one linear layer into the shared space.

    Args:
        network: the text encoder with its projection.
        out_dim: E of the output.
        frozen_source: see `TokenEncoder`.
    """

    def __init__(self, network: CLIPTextModelWithProjection, out_dim: int, frozen_source: str | None = None) -> None:
        super().__init__(network, network.text_projection.out_features, out_dim, frozen_source)

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute CLIP's projected text embedding: (B, E), not normalised."""
        return self.network(input_ids=ids, attention_mask=mask).text_embeds


class CLIPTextSpec(Spec):
    """The `text_encoder:` block of CLIP's text encoder."""

    input: ClassVar[Literal["tokens"]] = "tokens"

    name: Literal["CLIPTextEncoder"]
    model: str = "openai/clip-vit-base-patch32"  # a folder, or a name that a hub knows
    trainable: bool = True  # False: only the last layer learns
    max_tokens: int | None = Field(None, ge=3)  # longer captions are truncated; null: to the model's limit, 77

    def tokenizer(self) -> Tokenizer:
        """Load the tokenizer of this encoder.

        Raises:
            UserError: see `load_clip_tokenizer`.
        """
        return load_clip_tokenizer(self.model, _KEY, self.max_tokens)

    def build(self, out_dim: int, text_dim: int = 0) -> CLIPTextEncoder:
        """Build the encoder, with its pretrained weights.

        Args:
            out_dim: E of the shared space.
            text_dim: ignored; only encoders on vectors use it.
        Raises:
            UserError: no such model, one that is no CLIP, or incomplete or broken files.
        """
        frozen_source = None if self.trainable else self.model
        return CLIPTextEncoder(load_clip_network(self.model, _KEY), out_dim, frozen_source)
