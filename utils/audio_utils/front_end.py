"""Front-ends: all settings of a log-mel spectrogram, with those of DCASE 2023 and PANNs as presets."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from utils.config_utils import Spec

# Source: DCASE 2023 task 6B baseline, preprocessing/audio_logmel.py (40 / 20 ms, np.spacing(1) inside the log);
# PANNs, Kong et al. 2020, and its code: pytorch/main.py and torchlibrosa's defaults.
PRESETS: dict[str, dict[str, Any]] = {
    "dcase2023": {
        "sample_rate_hz": 44_100,
        "window_samples": 1764,
        "hop_samples": 882,
        "fft_size": 2048,
        "n_mels": 64,
        "fmin_hz": 0.0,
        "fmax_hz": 22_050.0,
        "log": "ln",
        "offset": 2.0**-52,
        "padding": "constant",
    },
    "panns": {
        "sample_rate_hz": 32_000,
        "window_samples": 1024,
        "hop_samples": 320,
        "fft_size": 1024,
        "n_mels": 64,
        "fmin_hz": 50.0,
        "fmax_hz": 14_000.0,
        "log": "dB",
        "offset": 1e-10,
        "padding": "reflect",
    },
}


class FrontEnd(Spec):
    """The `front_end:` block: a preset by name, or `name: custom` with all settings.

    `ln` is ln(power + offset); `dB` is 10 log10(max(power, offset)). Mel filters are Slaney's, as
    librosa and PANNs use them. Frames are centred on multiples of the hop.
    """

    name: Literal["dcase2023", "panns", "custom"]
    sample_rate_hz: int = Field(ge=1000, le=384_000)
    window_samples: int = Field(ge=16, le=65_536)
    hop_samples: int = Field(ge=1, le=65_536)
    fft_size: int = Field(ge=16, le=65_536, multiple_of=2)
    n_mels: int = Field(ge=1, le=1024)
    fmin_hz: float = Field(ge=0)
    fmax_hz: float = Field(gt=0)
    log: Literal["ln", "dB"]
    offset: float = Field(gt=0, le=1)
    padding: Literal["constant", "reflect"]

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        preset = PRESETS.get(str(given.get("name")), {})
        changed = [key for key, value in preset.items() if given.get(key, value) != value]
        if changed:
            raise ValueError(f"{given['name']} fixes {', '.join(changed)}; to change a setting use name: custom")
        return {**preset, **given}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.window_samples > self.fft_size:
            raise ValueError(f"window_samples {self.window_samples} exceeds fft_size {self.fft_size}")
        if not self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                f"needs fmin_hz < fmax_hz <= sample_rate_hz / 2, found {self.fmin_hz}, {self.fmax_hz}, "
                f"{self.sample_rate_hz / 2}"
            )
        return self

    @property
    def floor(self) -> float:
        """The log-mel value of digital silence, the padding value of batches."""
        return math.log(self.offset) if self.log == "ln" else 10.0 * math.log10(self.offset)

    def frames(self, duration_s: float) -> int:
        """Return the number of frames T of a clip."""
        return 1 + round(duration_s * self.sample_rate_hz) // self.hop_samples

    def describe(self) -> str:
        """Describe the front-end in one line, for messages."""
        return (
            f"{self.name} ({self.sample_rate_hz} Hz, window {self.window_samples}, hop {self.hop_samples}, "
            f"FFT {self.fft_size}, {self.n_mels} mels {self.fmin_hz:g}-{self.fmax_hz:g} Hz, {self.log})"
        )
