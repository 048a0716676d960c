import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperForAudioClassification, WhisperModel

from models.backbones import load_backbone
from tests import tiny_models
from tests.models.backbones.test_backbones import KEY, clips
from utils.cli_utils import UserError


def tone(seconds: float, rate_hz: int = 16_000) -> torch.Tensor:
    return torch.from_numpy(np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz).astype(np.float32))


@pytest.mark.parametrize("wave", [*clips(16_000), tone(30), tone(0.5), torch.zeros(800)])
def test_log_mels_are_those_of_transformers(tmp_path: Path, wave: torch.Tensor):
    folder = tiny_models.write_whisper(tmp_path / "model")
    expected = WhisperFeatureExtractor()(wave.numpy(), sampling_rate=16_000, return_tensors="pt").input_features
    found = load_backbone(str(folder), KEY).log_mel(wave[None])
    assert found.shape == (1, 80, 3000)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_frames_are_the_first_of_transformers_output(tmp_path: Path):
    folder = tiny_models.write_whisper(tmp_path / "model")
    model = WhisperModel.from_pretrained(folder).eval()
    backbone = load_backbone(str(folder), KEY)
    for wave, count in zip(clips(16_000), [16, 50, 5, 50], strict=True):  # 50 frames a second, the last one in part
        features = WhisperFeatureExtractor()(wave.numpy(), sampling_rate=16_000, return_tensors="pt").input_features
        frames, counts = backbone.frames(wave[None], torch.tensor([len(wave)]))
        assert counts.tolist() == [count]
        expected = model.encoder(features).last_hidden_state[:, :count]
        torch.testing.assert_close(frames, expected, atol=1e-4, rtol=0)


def test_frames_cover_the_clip(tmp_path: Path):
    backbone = load_backbone(str(tiny_models.write_whisper(tmp_path / "model")), KEY)
    assert [backbone.frame_count(samples) for samples in (1, 320, 321, 480_000)] == [1, 1, 2, 1500]


@torch.inference_mode()
def test_only_the_first_layers_are_used(tmp_path: Path):
    folder = tiny_models.write_whisper(tmp_path / "model", seconds=2)
    wave = clips(16_000)[1]
    encoder = WhisperModel.from_pretrained(folder).eval().encoder
    features = WhisperFeatureExtractor(chunk_length=2)(wave.numpy(), sampling_rate=16_000, return_tensors="pt")
    states = encoder(features.input_features, output_hidden_states=True).hidden_states
    frames, _ = load_backbone(str(folder), KEY, layers=1).frames(wave[None], torch.tensor([16_000]))
    torch.testing.assert_close(frames, encoder.layer_norm(states[1])[:, :50], atol=1e-4, rtol=0)


def test_without_settings_the_bands_are_those_of_the_network(tmp_path: Path):
    folder = tiny_models.write_whisper(tmp_path / "model", num_mel_bins=128)
    (folder / "preprocessor_config.json").unlink()
    assert load_backbone(str(folder), KEY).filters.shape == (128, 201)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_size": 128}, "preprocessor_config.json says 128 mel bands, config.json 80; take both files from"),
        ({"chunk_length": 10}, "preprocessor_config.json gives 1000 frames, config.json wants 3000; take both files"),
    ],
)
def test_settings_of_another_model_are_refused(tmp_path: Path, settings: dict, message: str):
    folder = tiny_models.write_whisper(tmp_path / "model")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(UserError, match=f"^{KEY}: {folder}: {message}"):
        load_backbone(str(folder), KEY)


def test_the_window_and_filters_are_no_part_of_a_checkpoint(tmp_path: Path):
    backbone = load_backbone(str(tiny_models.write_whisper(tmp_path / "model", seconds=1)), KEY)
    assert all(name.startswith("network.") for name in backbone.state_dict())


@pytest.mark.parametrize("kind", ["encoder", "classifier"])
def test_the_encoder_alone_is_enough(tmp_path, kind):
    folder = tiny_models.write_whisper(tmp_path / "whisper")
    whole = WhisperModel.from_pretrained(folder)
    if kind == "encoder":
        whole.encoder.save_pretrained(tmp_path / "alone")
    else:
        classifier = WhisperForAudioClassification(whole.config)
        classifier.encoder.load_state_dict(whole.encoder.state_dict())
        classifier.save_pretrained(tmp_path / "alone")
    waves, lengths = 0.1 * torch.randn(2, 20_000), torch.tensor([20_000, 9_000])
    alone, wanted = (load_backbone(str(path), KEY) for path in (tmp_path / "alone", folder))
    with torch.no_grad():
        assert torch.equal(alone.vectors(waves, lengths), wanted.vectors(waves, lengths))
