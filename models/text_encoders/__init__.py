"""The text encoders: the choices of `model.text_encoder.name`.

Each maps captions to embeddings, (B, out_dim): `encoder(vectors)` takes (B, E_text) vectors from a file (or, for a new
query, from the text model), and `encoder(ids, mask)` takes (B, L) tokens. The Spec holds the kind of input (`input`)
and builds the encoder: `spec.build(out_dim, text_dim)`. Caption vectors are data, and not in the state dict.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.text_encoders.clip import CLIPTextSpec
from models.text_encoders.frozen_text import FrozenTextSpec
from models.text_encoders.sbert import SentBERTBaseSpec
from models.text_encoders.transformer import TransformerTextSpec

TextEncoderSpec = Annotated[
    SentBERTBaseSpec | FrozenTextSpec | CLIPTextSpec | TransformerTextSpec, Field(discriminator="name")
]
