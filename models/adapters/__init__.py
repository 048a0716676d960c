"""The adapters: the choices of `model.adapter.name`.

Each maps a clip's frames to input tokens of a language model: `adapter(frames, lengths)`, (B, T, D) float32 and (B,) ->
(B, P, H) and (B,); a clip's tokens are the same alone and in any batch. Its Spec builds it:
`spec.build(in_dim, hidden_size, embedding_scale)`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.adapters.adaptive_segments import AdaptiveSegmentsAdapterSpec
from models.adapters.attention_pooling import AttentionPoolingAdapterSpec
from models.adapters.base import Adapter, TrainingClips
from models.adapters.concatenation import ConcatenationAdapterSpec
from models.adapters.conv1d import Conv1dAdapterSpec
from models.adapters.least_squares import LeastSquaresAdapterSpec
from models.adapters.mean_pooling import MeanPoolingAdapterSpec
from models.adapters.perceiver import PerceiverAdapterSpec

AdapterSpec = Annotated[
    Conv1dAdapterSpec
    | MeanPoolingAdapterSpec
    | AdaptiveSegmentsAdapterSpec
    | ConcatenationAdapterSpec
    | PerceiverAdapterSpec
    | AttentionPoolingAdapterSpec
    | LeastSquaresAdapterSpec,
    Field(discriminator="name"),
]

__all__ = ["Adapter", "AdapterSpec", "TrainingClips"]
