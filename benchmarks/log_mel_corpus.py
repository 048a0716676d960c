"""Shared by the log-mel benchmarks: clips of noise on disk, and this project's work from file to features."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from preprocessing.audio_logmel import log_mel_blocks
from utils.artefact_utils import Clip, LogMelParts, LogMelSettings
from utils.audio_utils import FrontEnd, prepare
from utils.data_utils.clip_writing import ClipWork, groups_of

SAMPLE_RATE_HZ = 44_100
DURATION_S = 30.0
PART_S = 600.0
FRONT_END = FrontEnd.model_validate({"name": "dcase2023"})


def write_clips(folder: Path, files: int, clips: int) -> list[Clip]:
    """Write `files` files of 30 s, 16-bit WAV at 44.1 kHz, and return `clips` clips, several of each file."""
    rng = np.random.default_rng(0)
    for number in range(files):
        wave = 0.1 * rng.standard_normal(int(DURATION_S * SAMPLE_RATE_HZ))
        soundfile.write(folder / f"{number}.wav", wave, SAMPLE_RATE_HZ, subtype="PCM_16")
    names = [f"{number % files}.wav" for number in range(clips)]
    return [Clip(f"fid{n:06d}", name, name, DURATION_S, SAMPLE_RATE_HZ, 1, name) for n, name in enumerate(names)]


def work_of(folder: Path, clips: list[Clip], output: Path) -> tuple[ClipWork, list[list[Clip]]]:
    """What writes the temporary files of a feature file, and the clips of each."""
    parts = LogMelParts(output, LogMelSettings(FRONT_END.model_dump(mode="json", exclude={"name"})))
    prepare(FRONT_END)
    blocks = partial(log_mel_blocks, folder, FRONT_END, DURATION_S)
    return ClipWork(parts, blocks), groups_of(clips, PART_S)
