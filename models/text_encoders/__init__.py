"""The table of text encoders.

Each maps the run's captions to embeddings, (B, out_dim): `encoder(vectors)` of (B, E_text) vectors that come from
files (or at query time from the text model), or `encoder(ids, mask)` of (B, L) tokens; its Spec says which (`input`)
and builds it: `spec.build(out_dim, text_dim)`. No table of captions is part of a checkpoint.
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
