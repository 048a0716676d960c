"""A tiny corpus of tracks with its catalogue and features, and the YAML of a run on it."""

from pathlib import Path

import numpy as np
import soundfile
import yaml

from preprocessing import audio_logmel
from tests import tiny
from utils.artefact_utils import Clip, Track, TrackFeatureParts, write_audio_info, write_catalogue
from utils.audio_utils import probe
from utils.audio_utils.track_features import COLUMNS

RATE_HZ = 16_000
SPLITS = {"training": 12, "validation": 8, "test": 8}
MODELS = {
    "features": {"name": "MLPAutoencoder", "hidden_dims": [16], "latent_dim": 4, "noise": 0.1},
    "wave": {"name": "WaveAutoencoder", "channels": 2, "strides": [8, 8], "latent_dim": 4, "sample_rate_hz": RATE_HZ},
    "logmel": {"name": "FrameAutoencoder", "channels": 8, "latent_dim": 4, "dropout": 0.1},
}


def settings_of(folder: Path, kind: str) -> dict:
    """The settings of a run that takes seconds."""
    settings = tiny.conf(folder)
    del settings["criterion"]
    return settings | {
        "task": "music_autoencoder",
        "experiment": f"tiny-{kind}",
        "data": {"root": str(folder / "corpus"), "features": str(folder / "features"), "max_duration_s": 0.5},
        "model": dict(MODELS[kind]),
        "optimizer": {"name": "AdamW", "lr": 1e-2},
        "training": {"epochs": 2, "batch_size": 4, "device": "cpu"},
        "ray": {"num_samples": 1, "scheduler": "fifo"},
    }


def write_conf(folder: Path, kind: str, **changes: object) -> Path:
    """The YAML; `changes` replace whole sections."""
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(settings_of(folder, kind) | changes))
    return path


def write(folder: Path) -> None:
    """Tracks, tables and log-mels: genres are registers, artists are pitches in them; one track has 3 s."""
    rng = np.random.default_rng(0)
    clips: dict[str, list[Clip]] = {}
    tracks: list[Track] = []
    (folder / "corpus").mkdir()
    for split, count in SPLITS.items():
        clips[split] = []
        for number in range(count):
            seconds = 3.0 if number == 1 else rng.uniform(0.4, 1.1)
            genre, artist = ("low", "high")[number % 2], f"artist {number % 4}"
            clip = _write_track(folder / "corpus", f"{split} {number}.wav", 200 * 2.0 ** (number % 4), seconds, rng)
            clips[split].append(clip)
            title = f"piece {number}"
            tracks.append(
                Track(clip.fid, clip.source_id, split, clip.path, title, artist, "", genre, (genre,), clip.duration_s)
            )
    settings = settings_of(folder, "logmel")
    features = Path(settings["data"]["features"])
    features.mkdir()
    write_audio_info(features / "audio_info.pkl", clips, {})
    write_catalogue(features / "catalogue.csv", tracks)
    for split, rows in clips.items():
        _write_features(features / f"{split}_audio_features.hdf5", [clip.fid for clip in rows], rng)
    audio_logmel.main(["--conf", str(write_conf(folder, "logmel")), "--workers", "1"])


def _write_features(path: Path, fids: list[str], rng: np.random.Generator) -> None:
    """Numbers of three causes, in place of features that take librosa seconds."""
    causes = np.random.default_rng(1).standard_normal((3, len(COLUMNS)))
    table = rng.standard_normal((len(fids), 3)) @ causes + 0.1 * rng.standard_normal((len(fids), len(COLUMNS)))
    parts = TrackFeatureParts(path)
    parts.write_part(fids, ((fid, iter([row])) for fid, row in zip(fids, table.astype(np.float32), strict=True)))
    parts.assemble(fids, "")


def _write_track(root: Path, name: str, pitch_hz: float, seconds: float, rng: np.random.Generator) -> Clip:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    wave = 0.3 * np.sin(2 * np.pi * pitch_hz * rng.uniform(0.95, 1.05) * time_s)
    wave += 0.01 * rng.standard_normal(len(time_s))
    soundfile.write(root / name, wave, RATE_HZ, subtype="PCM_16")
    fid = name.replace(" ", "-").removesuffix(".wav")
    return Clip(fid, name, name, probe(root / name).duration_s, RATE_HZ, 1, fid)
