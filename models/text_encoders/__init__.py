"""The table of text encoders.

Each maps what the run's text features are to embeddings: `encoder(features)`, (B, E_text) -> (B, out_dim). Each
Spec builds its encoder: `spec.build(out_dim, text_dim)`. Sentence vectors come from files, or at query time
from the sentence model: no table of captions is part of a checkpoint.
"""

from __future__ import annotations

from models.text_encoders.sbert import SentBERTBaseEncoder, SentBERTBaseSpec

# One choice so far; a second one makes this a union with Field(discriminator="name"), as for audio.
TextEncoderSpec = SentBERTBaseSpec

__all__ = ["SentBERTBaseEncoder", "SentBERTBaseSpec", "TextEncoderSpec"]
