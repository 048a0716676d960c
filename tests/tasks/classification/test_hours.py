"""A recording of six hours trains and is evaluated window by window, read by offset, in bounded memory."""

import resource
import struct

import numpy as np
import pytest
import soundfile
import torch
import yaml
from transformers import Wav2Vec2FeatureExtractor

from tests import tiny_models
from tests.tasks.classification import corpora
from tests.training import fit_of, reports_of
from utils.artefact_utils import Clip, write_audio_info
from utils.artefact_utils.labels import LabelledRecording, write_labels
from utils.data_utils import clip_features

RATE_HZ = 4000  # all that it takes: six hours are 346 MB of float32
SECONDS = 6 * 3600
WINDOW = 60 * RATE_HZ


def write_hours(path):
    """A sparse WAV, silence on no disk, with the number of each hour at its beginning."""
    size = 2 * SECONDS * RATE_HZ
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    with path.open("wb") as stream:
        stream.write(head + struct.pack("<4sI", b"data", size))
        for hour in range(6):
            stream.seek(44 + 2 * 3600 * RATE_HZ * hour)
            stream.write(struct.pack("<h", 1000 + hour))
        stream.truncate(44 + size)


@pytest.fixture
def hours(tmp_path):
    """A folder whose recordings have six hours, and one second; and a wav2vec 2.0."""
    for name in ("clips", "features"):
        (tmp_path / name).mkdir()
    clips, labels = {}, []
    for split in corpora.SPLITS:
        long, short = (tmp_path / "clips" / f"{split} {word}.wav" for word in ("long", "short"))
        write_hours(long)
        soundfile.write(short, 0.1 * np.random.default_rng(0).standard_normal(RATE_HZ), RATE_HZ)
        clips[split] = [
            Clip(path.stem, path.name, path.name, seconds, RATE_HZ, 1, path.stem)
            for path, seconds in ((long, float(SECONDS)), (short, 1.0))
        ]
        labels += [LabelledRecording(*[clip.fid] * 2, split, clip.path, clip.fid[-5:], "", "") for clip in clips[split]]
    write_audio_info(tmp_path / "features" / "audio_info.pkl", clips, {})
    write_labels(tmp_path / "features" / "labels.csv", labels)
    # few frames a second, and waves as they are: the network is not what is measured here
    coarse = {"conv_dim": (4, 4), "conv_stride": (160, 16), "conv_kernel": (160, 16)}
    tiny_models.write_wav2vec2(tmp_path / "wav2vec2", num_hidden_layers=1, **coarse)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE_HZ, do_normalize=False).save_pretrained(tmp_path / "wav2vec2")
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(corpora.settings_of(tmp_path)))
    return tmp_path


def test_six_hours(hours, monkeypatch):
    reads = {}
    read = clip_features.read_window

    def noted(path, rate_hz, start, samples):
        reads.setdefault(path.name.split()[0], []).append((start, samples))
        return read(path, rate_hz, start, samples)

    monkeypatch.setattr(clip_features, "read_window", noted)
    settings = ("data.max_duration_s=60", "data.window_overlap=0.1", "training.epochs=1")
    run = corpora.run_of(hours, corpora.wave_encoder(hours), *settings)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (row,) = reports_of(fit_of(run))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB
    assert row["train_loss"] > 0
    assert row["window_accuracy"] >= 0

    hop = 54 * RATE_HZ
    trained = sorted(start for start, samples in reads["development"] if samples == WINDOW)
    assert trained == [*range(0, SECONDS * RATE_HZ - WINDOW, hop), SECONDS * RATE_HZ - WINDOW]
    measured = sorted(start for start, samples in reads["validation"] if samples == WINDOW)
    assert measured == list(range(0, SECONDS * RATE_HZ, WINDOW))
    assert all(samples in (WINDOW, RATE_HZ) for found in reads.values() for _, samples in found)
    last = run.build().data("train").audio.batch(np.array([0]), np.array([5 * 3600 * RATE_HZ]), np.array([10]))
    assert last[0, 0] * 32768 == 1005
    assert not torch.any(last[0, 1:])
