import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ClapAudioModelWithProjection, ClapFeatureExtractor, ClapModel

from models.audio_encoders.wav2vec2 import Wav2Vec2Spec
from models.backbones import load_backbone
from tests import tiny_models
from tests.models.backbones.test_backbones import KEY, clips, padded
from utils.cli_utils import UserError
from utils.pretrained_utils import load_pretrained

RATE_HZ = 48_000
SOUNDS = {
    "noise": clips(RATE_HZ)[0],
    "tone": torch.from_numpy(np.sin(2 * np.pi * 440 * np.arange(round(3.3 * RATE_HZ)) / RATE_HZ).astype(np.float32)),
    "whole": clips(RATE_HZ, (10.0,))[0],
    "silence": torch.zeros(1000),
    "tick": torch.tensor([1.0, -1.0]),
}


@pytest.fixture(params=[False, True], ids=["unfused", "fused"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tiny_models.write_clap(tmp_path / "model", fusion=request.param)


@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
@pytest.mark.parametrize("name", SOUNDS)
def test_log_mels_are_those_of_transformers(folder: Path, name: str, padding: str):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding": padding}))
    extractor = ClapFeatureExtractor.from_pretrained(folder)
    wave = SOUNDS[name]
    expected = extractor(wave.numpy(), sampling_rate=RATE_HZ, return_tensors="pt").input_features[0, 0]
    found = load_backbone(str(folder), KEY).log_mel(wave[None], torch.tensor([len(wave)]))[0]
    assert found.shape == (1001, 64)
    torch.testing.assert_close(found, expected.float(), atol=1e-3, rtol=0)


@torch.inference_mode()
def test_vectors_are_claps_projected_embeddings(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    extractor, model = ClapFeatureExtractor.from_pretrained(folder), ClapModel.from_pretrained(folder).eval()
    encoder = ClapAudioModelWithProjection.from_pretrained(folder).eval()
    waves = clips(RATE_HZ)
    vectors = backbone.vectors(*padded(waves))
    for vector, wave in zip(vectors, waves, strict=True):
        features = extractor(wave.numpy(), sampling_rate=RATE_HZ, return_tensors="pt").input_features
        inputs = {"input_features": features, "is_longer": torch.tensor([[False]])}
        torch.testing.assert_close(vector, encoder(**inputs).audio_embeds[0], atol=1e-4, rtol=0)
        normalised = model.get_audio_features(**inputs).pooler_output[0]
        torch.testing.assert_close(vector / vector.norm(), normalised, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_frames_run_through_time(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    wave = torch.zeros(10 * RATE_HZ)
    wave[6 * RATE_HZ : 7 * RATE_HZ] = clips(RATE_HZ, (1.0,))[0]
    frames, counts = backbone.frames(wave[None], torch.tensor([len(wave)]))
    silent, _ = backbone.frames(torch.zeros(1, 10 * RATE_HZ), torch.tensor([len(wave)]))
    changed = (frames - silent)[0].norm(dim=1)
    assert counts.tolist() == [128]  # two stages; the four of a real CLAP leave 32
    times_s = (torch.arange(128) + 0.5) * 10 / 128
    assert (changed * times_s).sum() / changed.sum() == pytest.approx(6.5, abs=0.2)
    assert backbone.frame_count(RATE_HZ) == 13  # 12.8 frames a second, the last one in part


def test_without_settings_the_filters_are_those_of_the_kind_of_clap(folder: Path):
    expected = load_backbone(str(folder), KEY).filters
    (folder / "preprocessor_config.json").unlink()
    assert torch.equal(load_backbone(str(folder), KEY).filters, expected)


def test_the_two_kinds_have_their_own_filters(tmp_path: Path):
    filters = [
        load_backbone(str(tiny_models.write_clap(tmp_path / str(fusion), fusion=fusion)), KEY).filters
        for fusion in (False, True)
    ]
    assert not torch.allclose(*filters, atol=1e-3)


def test_settings_of_another_model_and_layers_are_refused(tmp_path: Path):
    folder = tiny_models.write_clap(tmp_path / "model")
    with pytest.raises(UserError, match=r"^data.audio_embeddings.layers: 1, but CLAP takes no choice of layers; set n"):
        load_backbone(str(folder), KEY, layers=1)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"feature_size": 32}))
    with pytest.raises(UserError, match=r"config\.json says 32 mel bands, config\.json 64; take both files from one"):
        load_backbone(str(folder), KEY)


def _encoder_alone(folder, projected, tmp_path):
    """The audio encoder of a CLAP alone, saved by itself, without the settings of its extractor."""
    network = load_pretrained(ClapAudioModelWithProjection, str(folder), KEY)
    network = network if projected else network.audio_model
    network.save_pretrained(tmp_path / "encoder")
    return load_backbone(str(tmp_path / "encoder"), KEY), network


@pytest.mark.parametrize("fusion", [False, True])
def test_the_audio_encoder_alone_is_enough(tmp_path, fusion):
    folder = tiny_models.write_clap(tmp_path / "clap", fusion)
    whole = load_backbone(str(folder), KEY)
    waves, lengths = 0.1 * torch.randn(2, 20_000), torch.tensor([20_000, 9_000])
    alone, network = _encoder_alone(folder, False, tmp_path)
    assert not alone.projected
    with torch.no_grad():
        assert torch.equal(alone.frames(waves, lengths)[0], whole.frames(waves, lengths)[0])
        vectors = alone.vectors(waves, lengths)
        projected = load_pretrained(ClapAudioModelWithProjection, str(folder), KEY).audio_projection(vectors)
        torch.testing.assert_close(projected, whole.vectors(waves, lengths))
    assert vectors.shape == (2, alone.vector_width) == (2, network.audio_encoder.num_features)


def test_the_audio_encoder_with_its_projection_is_the_whole(tmp_path):
    folder = tiny_models.write_clap(tmp_path / "clap")
    alone, _ = _encoder_alone(folder, True, tmp_path)
    waves, lengths = 0.1 * torch.randn(1, 20_000), torch.tensor([20_000])
    with torch.no_grad():
        assert torch.equal(alone.vectors(waves, lengths), load_backbone(str(folder), KEY).vectors(waves, lengths))
    spec = Wav2Vec2Spec(name="ClapAudioEncoder", model=str(tmp_path / "encoder"))
    assert spec.build(5)(waves, lengths).shape == (1, 5)
