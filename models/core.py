"""The dual encoder: an audio encoder and a text encoder that meet in one space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from models.audio_encoders import AudioEncoderSpec
from models.text_encoders import TextEncoderSpec
from utils.config_utils import Spec

OutNorm = Literal["L2", "none"]


class DualEncoderModel(nn.Module):
    """Embeds clips and captions side by side; their similarity is the criterion's matter.

    Args:
        audio_encoder: (B, T, F) features and (B,) lengths -> (B, E).
        text_encoder: (B, E_text) -> (B, E).
        out_norm: "L2": embeddings have length 1; "none": as the encoders give them.
    """

    def __init__(self, audio_encoder: nn.Module, text_encoder: nn.Module, out_norm: OutNorm = "L2") -> None:
        super().__init__()
        self.audio_encoder = audio_encoder
        self.text_encoder = text_encoder
        self.out_norm = out_norm

    def embed_audio(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Embed clips.

        Args:
            features: (B, T, F) float32 log-mel, padded after each clip's end.
            lengths: (B,) int64, frames of each clip.
        Returns:
            (B, E) float32.
        """
        return self.normalise(self.audio_encoder(features, lengths))

    def embed_text(self, text_features: Tensor) -> Tensor:
        """Embed captions.

        Args:
            text_features: (B, E_text) float32.
        Returns:
            (B, E) float32.
        """
        return self.normalise(self.text_encoder(text_features))

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Embed the pairs of a batch; a clip that stands in several pairs is embedded once.

        Args:
            batch: `audio` (U, T, F) float32, the batch's distinct clips; `lengths` (U,) int64, their frames;
                `clip_index` (B,) int64 in 0..U-1, the clip of each pair; `text` (B, E_text) float32.
        Returns:
            Audio (B, E) and text (B, E), float32, row by row the pairs.
        """
        clips = self.embed_audio(batch["audio"], batch["lengths"])  # (U, E)
        return clips.index_select(0, batch["clip_index"]), self.embed_text(batch["text"])

    def normalise(self, embeddings: Tensor) -> Tensor:
        """Bring embeddings, such as the mean over a clip's windows, to the norm of `out_norm`.

        Args:
            embeddings: (B, E) or (E,), any float type.
        Returns:
            The same shape, float32, also under autocast.
        """
        embeddings = embeddings.float()
        return F.normalize(embeddings, dim=-1) if self.out_norm == "L2" else embeddings


class DualEncoderSpec(Spec):
    """The `model:` block of a dual encoder."""

    name: Literal["DualEncoderModel"]
    out_dim: int = Field(300, gt=0, le=8192)  # E, width of the shared space
    out_norm: OutNorm = "L2"
    audio_encoder: AudioEncoderSpec
    text_encoder: TextEncoderSpec

    def build(self, n_mels: int, text_dim: int) -> DualEncoderModel:
        """The model.

        Args:
            n_mels: F, bands of the run's front-end.
            text_dim: E_text, width of the run's text embeddings.
        Raises:
            ConfigError: the audio encoder does not fit the front-end.
            ArtefactError: initial weights that are missing, broken, or made for another network.
        """
        audio_encoder = self.audio_encoder.build(self.out_dim, n_mels)
        text_encoder = self.text_encoder.build(self.out_dim, text_dim)
        return DualEncoderModel(audio_encoder, text_encoder, self.out_norm)
