"""wav2vec 2.0, HuBERT, Whisper's encoder, CLAP's audio encoder or aiSFX as an audio encoder on waveforms."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.backbones import backbone_type, load_backbone
from models.backbones.base import WaveformBackbone
from models.frozen.hold import PartlyFrozen
from models.pooling import AttentionPooling, LayerWeights, StatisticsPooling, masked_mean
from utils.cli_utils import UserError
from utils.config_utils import Spec

Pooling = Literal["mean", "attention", "statistics"]

_KEY = "model.audio_encoder.model"
# the name in the YAML -> `model_type` in the configuration of the model
_TYPES = {
    "Wav2Vec2Encoder": ("wav2vec2",),
    "HubertEncoder": ("hubert",),
    "WhisperEncoder": ("whisper",),
    "ClapAudioEncoder": ("clap", "clap_audio_model"),
    "AisfxEncoder": ("aisfx",),
}


class Wav2Vec2Encoder(PartlyFrozen):
    """Waveforms -> the shared space: a pretrained network, pooling over time, one linear layer.

    A clip's embedding is the same alone and in any batch, in evaluation mode.

    Args:
        backbone: the pretrained network.
        out_dim: E of the output.
        pooling: "mean": the backbone's vectors (of CLAP the projected embedding, of aiSFX the vectors of its variant);
            "attention": a learnt weighted mean of the frames; "statistics": their mean and standard deviation.
        weighted_layers: pool a learnt weighted mean of the frames of all transformer layers, not those of the last one.
    """

    def __init__(
        self, backbone: WaveformBackbone, out_dim: int, pooling: Pooling = "mean", weighted_layers: bool = False
    ) -> None:
        super().__init__()
        self.backbone, self.out_dim, self.first_frozen = backbone, out_dim, False
        self.layer_weights = LayerWeights(len(backbone.layers) + 1) if weighted_layers else None
        self.pool: AttentionPooling | StatisticsPooling | None = None
        width = backbone.width if weighted_layers else backbone.vector_width
        if pooling == "attention":
            self.pool, width = AttentionPooling(backbone.width), backbone.width
        elif pooling == "statistics":
            self.pool, width = StatisticsPooling(), 2 * backbone.width
        self.fc_out = nn.Linear(width, out_dim)
        nn.init.xavier_uniform_(self.fc_out.weight)
        nn.init.zeros_(self.fc_out.bias)

    def forward(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Embed clips in the shared space.

        Args:
            waves: (B, S) float32, -1 to 1; padding is ignored. Or what `frozen_output` has made of them.
            lengths: (B,) int64, samples of each clip; best on the CPU, since reading them from a GPU waits for it.
        Returns:
            (B, out_dim), not normalised.
        Raises:
            ValueError: shapes that do not fit, or a clip that is too short or too long for the network.
        """
        if self.first_frozen and waves.dim() > 2:
            return self.fc_out(self._pooled_output(waves, lengths))
        return self.fc_out(self._pooled(waves, lengths))

    def _pooled(self, waves: Tensor, lengths: Tensor) -> Tensor:
        if self.layer_weights is not None:
            layers, counts = self.backbone.layer_frames(waves, lengths)
            frames = self.layer_weights(layers)
        elif self.pool is None:
            return self.backbone.vectors(waves, lengths)
        else:
            frames, counts = self.backbone.frames(waves, lengths)
        return masked_mean(frames, counts) if self.pool is None else self.pool(frames, counts)

    def frozen_output(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Run the backbone, and what follows it without learning; arguments as in `forward`.

        Returns:
            (B, T, D), or (B, T, n + 1, D) of all layers, undefined in the padding, and (B,) counts, where the pooling
            needs frames; else (B, 1, ...): pooled, and None.
        """
        if self.layer_weights is None:
            if isinstance(self.pool, AttentionPooling):
                return self.backbone.frames(waves, lengths)
            return self._pooled(waves, lengths)[:, None], None
        layers, counts = self.backbone.layer_frames(waves, lengths)
        if self.pool is not None:
            return torch.stack(layers, 2), counts
        # the weighted mean of means is the mean of weighted frames, and a thousandth of the memory
        return torch.stack([masked_mean(frames, counts) for frames in layers], 1)[:, None], None

    def _pooled_output(self, output: Tensor, lengths: Tensor) -> Tensor:
        """Return what `_pooled` does, of the backbone's output."""
        frames = output if self.layer_weights is None else self.layer_weights(output.unbind(2))
        if self.pool is None or (self.layer_weights is None and isinstance(self.pool, StatisticsPooling)):
            return frames[:, 0]
        counts = torch.tensor([self.backbone.frame_count(length) for length in lengths.tolist()])
        return self.pool(frames, counts)

    def freeze_layers(self, trainable: bool, freeze_feature_encoder: bool = False, source: str | None = None) -> None:
        """Freeze layers permanently: parameters, running statistics and dropout.

        Args:
            trainable: False: everything but the pooling, the weights of layers and the last layer.
            freeze_feature_encoder: with `trainable`: the convolutions from samples to frames.
            source: the model that the weights come from.
        """
        if not trainable:
            self.first_frozen = True
            self.freeze_modules(self.backbone, source=source)
        elif freeze_feature_encoder and self.backbone.feature_encoder is not None:
            self.freeze_modules(self.backbone.feature_encoder, source=source)


class Wav2Vec2Spec(Spec):
    """The `audio_encoder:` block of a pretrained network on waveforms."""

    input: ClassVar[Literal["wave"]] = "wave"

    name: Literal["Wav2Vec2Encoder", "HubertEncoder", "WhisperEncoder", "ClapAudioEncoder", "AisfxEncoder"]
    model: str  # a folder, a name that a hub knows, or package:aisfx; of the kind that `name` says
    layers: int | None = Field(None, ge=1)  # keep the first so many transformer layers; null: all
    trainable: bool = True  # False: only the pooling and the last layer learn
    freeze_feature_encoder: bool = True  # wav2vec 2.0 and HuBERT: the convolutions do not learn; the others have none
    pooling: Pooling = "mean"  # over a clip's frames
    weighted_layers: bool = False  # pool a learned weighted mean of all layers' frames, not those of the last one

    @model_validator(mode="after")
    def _has_layers(self) -> Self:
        if self.layers is not None and self.name in ("ClapAudioEncoder", "AisfxEncoder"):
            raise ValueError(f"layers: {self.name} takes no choice of layers; leave the key out")
        if self.weighted_layers and self.name in ("ClapAudioEncoder", "AisfxEncoder"):
            raise ValueError(f"weighted_layers: the layers of {self.name} differ in width or rate; leave the key out")
        return self

    def load_backbone(self) -> WaveformBackbone:
        """Load the pretrained network, which may be needed before E is known: it sets the sample rate of the data.

        Raises:
            UserError: no such model, one of another type than `name`, incomplete or broken files, or layers that it
                does not have.
        """
        self._check_type()
        return load_backbone(self.model, _KEY, self.layers)

    def build(self, out_dim: int, in_dim: int = 1, backbone: WaveformBackbone | None = None) -> Wav2Vec2Encoder:
        """Build the encoder, with its pretrained weights, and freeze what does not learn.

        Args:
            out_dim: E of the shared space.
            in_dim: ignored; only encoders on log-mels or vectors use it.
            backbone: the result of `load_backbone`, which need not be loaded again.
        Raises:
            UserError: see `load_backbone`.
        """
        encoder = Wav2Vec2Encoder(backbone or self.load_backbone(), out_dim, self.pooling, self.weighted_layers)
        encoder.freeze_layers(self.trainable, self.freeze_feature_encoder, self.model)
        return encoder.train()

    def _check_type(self) -> None:
        """Check that the model is of the type of `name`."""
        wanted, found = _TYPES[self.name], backbone_type(self.model, _KEY)
        if found in wanted:
            return
        fitting = [name for name, kinds in _TYPES.items() if found in kinds]
        other = f", or {fitting[0]} in model.audio_encoder.name" if fitting else ""
        raise UserError(
            f"{_KEY}: {self.model}: the model's type is {found}, expected {wanted[0]} for {self.name}; "
            f"name another model{other}"
        )
