"""The table of pretrained networks on waveforms, chosen by the `model_type` of their configuration, or by package.

Each is a `WaveformBackbone`: mono waves and lengths in, frames or one vector a clip out, the same for a clip alone
and in any batch. Frozen and cached by stage 1, or inside an audio encoder on waveforms.
"""

from __future__ import annotations

from models.backbones.aisfx import PACKAGE_NAME, load_aisfx
from models.backbones.base import WaveformBackbone
from models.backbones.clap import load_clap
from models.backbones.wav2vec2 import load_speech
from models.backbones.whisper import load_whisper
from utils.model_packages import split_package
from utils.pretrained_utils import check_type, read_config

_LOADERS = {
    "wav2vec2": load_speech,
    "hubert": load_speech,
    "whisper": load_whisper,
    "clap": load_clap,
    "clap_audio_model": load_clap,  # the audio encoder alone
}
BACKBONE_TYPES = tuple(_LOADERS)


def load_backbone(model: str, key: str, layers: int | None = None) -> WaveformBackbone:
    """Load a pretrained network on waveforms, in evaluation mode, float32, on the CPU.

    Args:
        model: a folder, a name that a hub knows, or `package:aisfx`.
        key: of the YAML, for messages; `layers` is in the same section.
        layers: keep the first so many transformer layers; None: all.
    Raises:
        UserError: no such model, one of another type, incomplete or broken files, or layers that it does not have.
    """
    package, variant = split_package(model) or ("", "")
    if package == PACKAGE_NAME:
        return load_aisfx(variant, model, key, layers)
    kind = check_type(read_config(model, key), BACKBONE_TYPES, model, key)
    return _LOADERS[kind](model, key, layers).eval()


def backbone_type(model: str, key: str) -> str:
    """Which kind of network a model is: `model_type` of its configuration, or the name of the package.

    Raises:
        UserError: no such model, or its config.json cannot be used.
    """
    package = split_package(model)
    return PACKAGE_NAME if package and package[0] == PACKAGE_NAME else str(read_config(model, key).model_type)
