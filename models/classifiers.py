"""The classifier: an audio encoder whose last layer has a logit for each class."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from models.audio_encoders import AudioEncoderSpec
from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.backbones.base import WaveformBackbone
from utils.cli_utils import short_repr
from utils.cli_utils.repairs import make
from utils.config_utils import Spec

# The key of the classes in the state of a `Classifier`.
CLASS_NAMES = "class_names"
_LISTED = 8  # classes that a message names


class Classifier(nn.Module):
    """Clips -> logits of K classes, whose names are in the state dict.

    Args:
        audio_encoder: (B, T, F) log-mels, (B, S) waves or (B, E_audio) vectors, and (B,) lengths -> (B, K); its last
            layer, `fc_out` or `layers`, is the head.
        classes: the K names, in the order of the logits.
    """

    class_names: Tensor

    def __init__(self, audio_encoder: nn.Module, classes: Sequence[str]) -> None:
        super().__init__()
        self.audio_encoder = audio_encoder
        # as bytes: a checkpoint holds tensors alone
        text = json.dumps(list(classes), ensure_ascii=False).encode()
        self.register_buffer(CLASS_NAMES, torch.frombuffer(bytearray(text), dtype=torch.uint8))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the K classes, in the order of the logits."""
        return _decoded(self.class_names)

    def check_weights(self, state: Mapping[str, Tensor]) -> None:
        """Refuse weights for other classes, or for the same in another order, which shapes alone do not show.

        Args:
            state: of a classifier.
        Raises:
            ValueError: the classes differ; the message names both and the repair.
        """
        if CLASS_NAMES not in state:  # another kind of model, which its other weights show
            return
        then, now = _decoded(state[CLASS_NAMES]), self.classes
        if then == now:
            return
        gone, new = (sorted(set(one) - set(other)) for one, other in ((then, now), (now, then)))
        changes = [f"{word} {_listed(names)}" for word, names in (("without", gone), ("with", new)) if names]
        raise ValueError(
            f"was trained on the {len(then)} classes {_listed(then)}; the training split has {len(now)} now, "
            f"{_listed(now)} ({', '.join(changes) or 'in another order'}); write the tables as they were: "
            f"{make('tables')}, or train again: {make('training', '--fresh')}"
        )

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Classify clips, or windows of clips.

        Args:
            features: (B, T, F) float32 log-mels, (B, S) waves or (B, E_audio) vectors, padded after each clip's end.
            lengths: (B,) int64, frames or samples of each clip.
        Returns:
            (B, K) float32 logits, also under autocast.
        """
        logits: Tensor = self.audio_encoder(features, lengths)
        return logits.float()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(short_repr, names[:_LISTED])) + more


def _decoded(names: Tensor) -> tuple[str, ...]:
    if names.dtype != torch.uint8 or names.ndim != 1:
        raise ValueError(f"the names of the classes are {names.dtype} {tuple(names.shape)}, expected bytes")
    classes = json.loads(bytes(names.tolist()))
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"the names of the classes are {classes!r:.80}, expected a list of texts")
    return tuple(classes)


class ClassifierSpec(Spec):
    """The `model:` block of a classifier."""

    name: Literal["Classifier"]
    audio_encoder: AudioEncoderSpec

    def build(self, classes: Sequence[str], audio_dim: int, backbone: WaveformBackbone | None = None) -> Classifier:
        """Build the classifier.

        Args:
            classes: the K names, in the order of the logits.
            audio_dim: F, bands of the run's front-end, or E_audio, width of its audio vectors; ignored for waves.
            backbone: of an audio encoder on waves, where it has been loaded.
        Raises:
            ConfigError: the encoder does not fit the front-end or the vectors.
            UserError: a pretrained network or initial weights that are missing, broken, or made for another network.
        """
        if isinstance(self.audio_encoder, Wav2Vec2Spec):
            encoder: nn.Module = self.audio_encoder.build(len(classes), backbone=backbone)
        else:
            encoder = self.audio_encoder.build(len(classes), audio_dim)
        return Classifier(encoder, classes)
