"""Decode, resample, log-mel: arrays in, arrays out."""

from utils.audio_utils.containers import AudioError
from utils.audio_utils.decoding import (
    DECODING_VERSION,
    header_duration_s,
    probe,
    read_wave,
    resampled_blocks,
    wave_blocks,
    why_refused,
)
from utils.audio_utils.front_end import FrontEnd
from utils.audio_utils.log_mel import LogMelStream, log_mel, mel_filters, prepare
from utils.audio_utils.windows import read_window, regrouped

__all__ = [
    "DECODING_VERSION",
    "AudioError",
    "FrontEnd",
    "LogMelStream",
    "header_duration_s",
    "log_mel",
    "mel_filters",
    "prepare",
    "probe",
    "read_wave",
    "read_window",
    "regrouped",
    "resampled_blocks",
    "wave_blocks",
    "why_refused",
]
