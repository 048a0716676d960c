"""Shared by the log-mel benchmarks: clips of noise on disk, and this project's jobs from file to features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from preprocessing.audio_logmel import LogMelJob, groups_of
from utils.artefact_utils import Clip, LogMelParts, LogMelSettings
from utils.audio_utils import FrontEnd

SAMPLE_RATE_HZ = 44_100
DURATION_S = 30.0
FRONT_END = FrontEnd.model_validate({"name": "dcase2023"})


def write_clips(folder: Path, files: int, clips: int) -> list[Clip]:
    """Write `files` files of 30 s, 16-bit WAV at 44.1 kHz, and return `clips` clips, several of each file."""
    rng = np.random.default_rng(0)
    for number in range(files):
        wave = 0.1 * rng.standard_normal(int(DURATION_S * SAMPLE_RATE_HZ))
        soundfile.write(folder / f"{number}.wav", wave, SAMPLE_RATE_HZ, subtype="PCM_16")
    names = [f"{number % files}.wav" for number in range(clips)]
    return [Clip(f"fid{n:06d}", name, name, DURATION_S, SAMPLE_RATE_HZ, 1, name) for n, name in enumerate(names)]


def jobs_of(folder: Path, clips: list[Clip], output: Path) -> tuple[LogMelParts, list[LogMelJob]]:
    """The parts of a feature file and the jobs that write them."""
    parts = LogMelParts(output, LogMelSettings(FRONT_END.model_dump(mode="json", exclude={"name"})))
    return parts, [LogMelJob(parts, group, folder, FRONT_END, DURATION_S) for group in groups_of(clips)]
