"""The audio encoders: the choices of `model.audio_encoder.name`.

Each maps clips to embeddings: `encoder(features, lengths)`, (B, T, F) log-mels, (B, S) waves or (B, E_audio) vectors,
float32, and (B,) int64 lengths -> (B, out_dim); a clip's embedding is the same alone and in any batch. Its Spec holds
the kind of features (`input`) and builds it: `spec.build(out_dim, width)`, width F or E_audio.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.audio_encoders.cnn6 import CNN6Spec
from models.audio_encoders.cnn8 import CNN8Spec
from models.audio_encoders.cnn10 import CNN10Spec
from models.audio_encoders.cnn14 import CNN14Spec
from models.audio_encoders.panns import PANNsSpec
from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.projections import AudioProjectionSpec, MLPProjectionSpec

AudioEncoderSpec = Annotated[
    CNN14Spec | CNN10Spec | CNN8Spec | CNN6Spec | Wav2Vec2Spec | AudioProjectionSpec | MLPProjectionSpec,
    Field(discriminator="name"),
]


def without_initial_weights(encoder: AudioEncoderSpec) -> AudioEncoderSpec:
    """The same encoder without the file of initial weights, where all of them learn: a checkpoint replaces them."""
    if not isinstance(encoder, PANNsSpec) or not encoder.trainable or encoder.freeze_blocks:
        return encoder
    return encoder.model_copy(update={"weights": None})
