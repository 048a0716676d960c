"""A sound file -> the features that a run's audio encoder takes: for search by sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.audio_utils import log_mel, read_wave
from utils.cli_utils import UserError
from utils.data_utils import DataSpec

Array = NDArray[np.float32]


def features_of_sound(path: Path, data: DataSpec, audio_input: str, sample_rate_hz: int) -> Array:
    """The features of one clip.

    Args:
        path: the sound file.
        data: the run's `data:` block.
        audio_input: logmel, wave or vector.
        sample_rate_hz: of waves.
    Returns:
        float32: (T, F) log-mels, (S,) wave, or (1, E_audio) vector.
    Raises:
        AudioError: the file cannot be decoded.
        UserError: the run's vectors come from another program, which is not at hand.
    """
    return _FEATURES[audio_input](path, data, sample_rate_hz)


def _log_mel(path: Path, data: DataSpec, sample_rate_hz: int) -> Array:
    del sample_rate_hz
    return log_mel(read_wave(path, data.front_end.sample_rate_hz), data.front_end)


def _wave(path: Path, data: DataSpec, sample_rate_hz: int) -> Array:
    del data
    return read_wave(path, sample_rate_hz)


def _vector(path: Path, data: DataSpec, sample_rate_hz: int) -> Array:
    del sample_rate_hz
    wanted = data.audio_embeddings
    if wanted is None or wanted.model is None:
        source = data.pairs if wanted is None else wanted.file
        raise UserError(
            f"{path}: cannot be embedded: the run's audio vectors come from {source}, and the encoder that made them "
            "is not known; search by text, or train with data.audio_embeddings: {model: NAME}"
        )
    from models.frozen_audio import load_frozen_audio

    encoder = load_frozen_audio(wanted.model, wanted.layers, data.front_end, data.max_duration_s)
    wave = read_wave(path, encoder.sample_rate_hz)
    if len(wave) < encoder.min_samples:
        raise UserError(f"{path}: {len(wave)} samples, the encoder needs {encoder.min_samples}; give a longer sound")
    return encoder.embed([wave])[0][None]


_FEATURES = {"logmel": _log_mel, "wave": _wave, "vector": _vector}
