"""Recordings of two categories, low and high noise, with tables and log-mels, and runs on them."""

import json
from pathlib import Path

import numpy as np
import soundfile
import yaml

from preprocessing import audio_logmel
from tasks.classification.run import ClassificationRun
from tasks.runs import parse_run, require_kind
from tests import tiny, tiny_models
from utils.artefact_utils import Clip, write_audio_info
from utils.artefact_utils.labels import LabelledRecording, write_labels
from utils.audio_utils import probe
from utils.config_utils import override, read_settings

RATE_HZ = 16_000
CATEGORIES = {"high": (3000, 7000), "low": (100, 1500)}  # Hz
SPLITS = {"development": 12, "validation": 6, "evaluation": 8}
LONG = 1  # the number of the recording of each split that has several windows


def settings_of(folder: Path) -> dict:
    """The settings of a run that takes seconds."""
    settings = tiny.conf(folder)
    return settings | {
        "task": "classification",
        "experiment": "tiny",
        "data": {"root": str(folder / "clips"), "features": str(folder / "features"), "max_duration_s": 1.0},
        "model": {"name": "Classifier", "audio_encoder": {"name": "CNN6Encoder", "base_channels": 2, "dropout": 0.0}},
        "criterion": {"name": "CrossEntropy"},
        "optimizer": {"name": "AdamW", "lr": 1e-2},
        "training": {"epochs": 3, "batch_size": 4, "device": "cpu"},
        "ray": {"num_samples": 1, "scheduler": "fifo"},
    }


def run_of(folder: Path, *settings: str) -> ClassificationRun:
    """The run of conf.yaml, with `key=value` settings."""
    run = parse_run(override(read_settings(folder / "conf.yaml"), settings), "conf.yaml")
    return require_kind(run, ClassificationRun, "conf.yaml")


def wave_encoder(folder: Path, **keys: object) -> str:
    """The setting of a tiny random wav2vec 2.0, which is written if it is not there."""
    model = folder / "wav2vec2"
    if not model.is_dir():
        tiny_models.write_wav2vec2(model)
    return f"model.audio_encoder={json.dumps({'name': 'Wav2Vec2Encoder', 'model': str(model), **keys})}"


def write(folder: Path) -> None:
    """Sounds, tables, log-mels and conf.yaml; the recordings of evaluation come from three channels."""
    rng = np.random.default_rng(0)
    clips: dict[str, list[Clip]] = {}
    recordings = []
    (folder / "clips").mkdir(parents=True)
    for split, count in SPLITS.items():
        clips[split] = []
        for number in range(count):
            category = sorted(CATEGORIES)[number % 2]
            path = f"{split} {number}.wav"
            seconds = 2.6 if number == LONG else rng.uniform(0.6, 1.0)
            clip = write_noise(folder / "clips" / path, CATEGORIES[category], seconds, rng)
            clips[split].append(clip)
            channel = f"channel {number % 3}" if split == "evaluation" else ""
            known = (clip.fid, clip.source_id, split, path, category, channel)
            recordings.append(LabelledRecording(*known, url="", duration_s=clip.duration_s))
    (folder / "features").mkdir()
    write_audio_info(folder / "features" / "audio_info.pkl", clips, {})
    write_labels(folder / "features" / "labels.csv", recordings)
    (folder / "conf.yaml").write_text(yaml.safe_dump(settings_of(folder)))
    audio_logmel.main(["--conf", str(folder / "conf.yaml"), "--workers", "1"])


def write_noise(path: Path, band_hz: tuple[int, int], seconds: float, rng: np.random.Generator) -> Clip:
    """A file of noise of a band, with a little of all others."""
    samples = int(seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    spectrum[(frequencies < band_hz[0]) | (frequencies > band_hz[1])] *= 0.05
    wave = np.fft.irfft(spectrum, samples)
    soundfile.write(path, 0.3 * wave / np.abs(wave).max(), RATE_HZ)
    facts = probe(path)
    fid = path.stem.replace(" ", "-")
    return Clip(fid, path.name, path.name, facts.duration_s, RATE_HZ, 1, fid)
