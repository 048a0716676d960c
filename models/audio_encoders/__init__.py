"""The table of audio encoders.

Each maps log-mel features and lengths to embeddings: `encoder(features, lengths)`, (B, T, F) float32 and (B,)
int64 -> (B, out_dim); a clip's embedding is the same alone and in any batch. Each Spec builds its encoder:
`spec.build(out_dim, n_mels)`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.audio_encoders.cnn6 import CNN6Encoder, CNN6Spec
from models.audio_encoders.cnn10 import CNN10Encoder, CNN10Spec
from models.audio_encoders.cnn14 import CNN14Encoder, CNN14Spec

AudioEncoderSpec = Annotated[CNN14Spec | CNN10Spec | CNN6Spec, Field(discriminator="name")]

__all__ = [
    "AudioEncoderSpec",
    "CNN6Encoder",
    "CNN6Spec",
    "CNN10Encoder",
    "CNN10Spec",
    "CNN14Encoder",
    "CNN14Spec",
]
