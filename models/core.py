"""The dual encoder: an audio encoder and a text encoder with a shared embedding space."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from models.audio_encoders import AudioEncoderSpec
from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.backbones.base import WaveformBackbone
from models.text_encoders import TextEncoderSpec
from utils.cli_utils import ConfigError
from utils.config_utils import Spec
from utils.data_utils import window_edges

OutNorm = Literal["L2", "none"]


class DualEncoderModel(nn.Module):
    """Embeds clips and captions; the criterion compares them.

    Args:
        audio_encoder: (B, T, F) log-mels, (B, S) waves or (B, E_audio) vectors, and (B,) lengths -> (B, E).
        text_encoder: (B, E_text) vectors, or (B, L) tokens and their (B, L) mask -> (B, E).
        out_dim: E.
        out_norm: "L2": embeddings are normalised to length 1; "none": they are not normalised.
    """

    def __init__(
        self, audio_encoder: nn.Module, text_encoder: nn.Module, out_dim: int, out_norm: OutNorm = "L2"
    ) -> None:
        super().__init__()
        self.audio_encoder = audio_encoder
        self.text_encoder = text_encoder
        self.out_dim = out_dim
        self.out_norm = out_norm

    def embed_audio(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Embed clips.

        Args:
            features: (B, T, F) float32 log-mels, (B, S) waves or (B, E_audio) vectors, padded after each clip's end.
            lengths: (B,) int64, frames or samples of each clip.
        Returns:
            (B, E) float32.
        """
        return self.normalise(self.audio_encoder(features, lengths))

    def embed_clip(self, features: Tensor, max_length: int) -> Tensor:
        """Embed one clip: the mean over its windows, normalised again.

        Args:
            features: (T, F) float32 log-mels, or an (S,) wave.
            max_length: of a window, in frames or samples; see `window_edges`.
        Returns:
            (E,) float32.
        """
        edges = window_edges(len(features), max_length)
        total = torch.zeros(self.out_dim, device=features.device)
        for start, stop in itertools.pairwise(edges):
            total += self.embed_audio(features[None, start:stop], torch.tensor([stop - start]))[0].float()
        return self.normalise(total / (len(edges) - 1))

    def embed_text(self, *text: Tensor) -> Tensor:
        """Embed captions.

        Args:
            text: (B, E_text) float32 vectors; or (B, L) int64 tokens and their (B, L) padding mask.
        Returns:
            (B, E) float32.
        """
        return self.normalise(self.text_encoder(*text))

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Embed the pairs of a batch; a clip of several pairs is embedded once.

        Args:
            batch: `audio` (U, ...) float32, the batch's distinct clips; `lengths` (U,) int64, their frames or
                samples; `clip_index` (B,) int64 in 0..U-1, the clip of each pair; `text` (B, E_text) float32, or
                `text_ids` and `text_mask` (B, L).
        Returns:
            Audio (B, E) and text (B, E), float32; rows i of both are a pair.
        """
        clips = self.embed_audio(batch["audio"], batch["lengths"])  # (U, E)
        return clips.index_select(0, batch["clip_index"]), self.embed_text(*text_of(batch))

    def normalise(self, embeddings: Tensor) -> Tensor:
        """Normalise embeddings, such as the mean over a clip's windows, according to `out_norm`.

        Args:
            embeddings: (B, E) or (E,), any float type.
        Returns:
            The same shape, float32, also under autocast.
        """
        embeddings = embeddings.float()
        return F.normalize(embeddings, dim=-1) if self.out_norm == "L2" else embeddings


def text_of(batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Return the inputs of the text encoder in a batch: the vectors, or the tokens and their mask."""
    return (batch["text"],) if "text" in batch else (batch["text_ids"], batch["text_mask"])


class DualEncoderSpec(Spec):
    """The `model:` block of a dual encoder."""

    name: Literal["DualEncoderModel"]
    out_dim: int | None = Field(300, gt=0, le=8192)  # E, width of the shared space; null: that of the text vectors
    out_norm: OutNorm = "L2"
    audio_encoder: AudioEncoderSpec
    text_encoder: TextEncoderSpec

    def build(self, audio_dim: int, text_dim: int, backbone: WaveformBackbone | None = None) -> DualEncoderModel:
        """Build the model.

        Args:
            audio_dim: F, bands of the run's front-end, or E_audio, width of its audio vectors; ignored for waves.
            text_dim: E_text, width of the run's text vectors; tokens: 0.
            backbone: of an audio encoder on waves, where it has been loaded.
        Raises:
            ConfigError: an encoder does not fit the front-end or the vectors.
            UserError: a pretrained network or initial weights that are missing, broken, or made for another network.
        """
        out_dim = self.out_dim or text_dim
        if not out_dim:
            raise ConfigError(
                "model.out_dim: null is the width of text vectors, and this run has tokens; give a number"
            )
        if isinstance(self.audio_encoder, Wav2Vec2Spec):
            audio_encoder: nn.Module = self.audio_encoder.build(out_dim, backbone=backbone)
        else:
            audio_encoder = self.audio_encoder.build(out_dim, audio_dim)
        text_encoder = self.text_encoder.build(out_dim, text_dim)
        return DualEncoderModel(audio_encoder, text_encoder, out_dim, self.out_norm)
