"""What holds for every pretrained network on waveforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.backbones import BACKBONE_TYPES, load_backbone
from models.backbones.base import WaveformBackbone
from tests import tiny_models
from utils.cli_utils import UserError

KEY = "data.audio_embeddings.model"
MODELS = {
    "wav2vec2-group": lambda folder: tiny_models.write_wav2vec2(folder),
    "wav2vec2-layer": lambda folder: tiny_models.write_wav2vec2(folder, norm="layer"),
    "hubert-group": lambda folder: tiny_models.write_hubert(folder),
    "hubert-layer": lambda folder: tiny_models.write_hubert(folder, norm="layer"),
    "whisper": lambda folder: tiny_models.write_whisper(folder),
    "clap": lambda folder: tiny_models.write_clap(folder),
    "clap-fusion": lambda folder: tiny_models.write_clap(folder, fusion=True),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: write(root / name) for name, write in MODELS.items()}


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


def clips(rate_hz: int, seconds: tuple[float, ...] = (0.31, 1.0, 0.0937, 1.0), seed: int = 0) -> list[torch.Tensor]:
    """Noise of its own loudness and offset each, so that a normalisation over a neighbour's samples shows."""
    generator = np.random.default_rng(seed)
    return [
        torch.from_numpy(((k + 1) * 0.05 * generator.standard_normal(round(s * rate_hz)) + 0.02 * k).astype(np.float32))
        for k, s in enumerate(seconds)
    ]


def padded(waves: list[torch.Tensor], fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True, padding_value=fill)
    return batch, torch.tensor([len(wave) for wave in waves])


@torch.inference_mode()
def test_a_clip_is_the_same_alone_in_any_batch_and_at_every_call(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    waves = clips(backbone.sample_rate_hz)
    # padding is ignored
    batch, lengths = padded(waves, fill=float("nan"))
    frames, counts = backbone.frames(batch, lengths)
    vectors = backbone.vectors(batch, lengths)
    assert frames.shape == (4, int(counts.max()), backbone.width)
    assert vectors.shape == (4, backbone.vector_width)
    assert counts.tolist() == [backbone.frame_count(len(wave)) for wave in waves]
    for row, wave in enumerate(waves):
        alone, count = backbone.frames(wave[None], torch.tensor([len(wave)]))
        assert int(count[0]) == alone.shape[1] == int(counts[row])
        torch.testing.assert_close(frames[row, : counts[row]], alone[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(
            vectors[row], backbone.vectors(wave[None], torch.tensor([len(wave)]))[0], atol=1e-4, rtol=0
        )
    assert (vectors - vectors.roll(1, 0)).abs().max(1).values.min() > 1e-2  # 100 times the tolerance
    assert torch.equal(backbone.vectors(batch, lengths), vectors)
    assert torch.equal(load_backbone(str(folder), KEY).vectors(batch, lengths), vectors)


@torch.inference_mode()
def test_the_vector_is_the_mean_of_a_clips_frames_or_claps_projection(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    batch, lengths = padded(clips(backbone.sample_rate_hz))
    frames, counts = backbone(batch, lengths)
    means = torch.stack([row[:count].mean(0) for row, count in zip(frames, counts.tolist(), strict=True)])
    same = torch.allclose(backbone.vectors(batch, lengths), means, atol=1e-5)
    assert same == ("clap" not in folder.name)


@torch.inference_mode()
def test_silence_gives_finite_output(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    vectors = backbone.vectors(torch.zeros(2, backbone.sample_rate_hz), torch.tensor([backbone.sample_rate_hz, 4000]))
    assert vectors.isfinite().all()


@torch.inference_mode()
def test_the_shortest_clip_gives_a_frame_and_a_shorter_one_is_refused(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    shortest = backbone.min_samples
    wave = torch.randn(1, shortest, generator=torch.Generator().manual_seed(0))
    frames, counts = backbone.frames(wave, torch.tensor([shortest]))
    assert (frames.shape[1], counts.tolist(), backbone.frame_count(shortest)) == (1, [1], 1)
    assert frames.isfinite().all()
    assert backbone.vectors(wave, torch.tensor([shortest])).isfinite().all()
    assert backbone.frame_count(shortest - 1) == 0
    with pytest.raises(
        ValueError,
        match=rf"^a clip has {shortest - 1} samples at {backbone.sample_rate_hz} Hz, expected {shortest} to "
        rf"{shortest}: it is shorter than the network's receptive field$",
    ):
        backbone.frames(wave, torch.tensor([shortest - 1]))


def test_a_clip_longer_than_the_window_is_refused(folders: dict[str, Path]):
    for name, seconds in {"whisper": 30, "clap": 10}.items():
        backbone = load_backbone(str(folders[name]), KEY)
        limit = seconds * backbone.sample_rate_hz
        assert backbone.max_samples == limit
        with pytest.raises(ValueError, match=rf"{limit + 1} samples .* to {limit}: it is longer than the network's w"):
            backbone.vectors(torch.zeros(1, limit + 1), torch.tensor([limit + 1]))
    assert load_backbone(str(folders["hubert-group"]), KEY).max_samples is None


def test_shapes_that_do_not_fit_are_refused(folders: dict[str, Path]):
    backbone = load_backbone(str(folders["wav2vec2-group"]), KEY)
    with pytest.raises(ValueError, match=r"^waves and lengths are \(2, 9\) and \(3,\), expected \(B, S\) and \(B,\)$"):
        backbone.frames(torch.zeros(2, 9), torch.tensor([9, 9, 9]))
    with pytest.raises(ValueError, match=r"a clip has 101 samples .* expected 85 to 100: it is longer than its batch$"):
        backbone.frames(torch.zeros(1, 100), torch.tensor([101]))


def test_a_model_of_another_type_is_refused(tmp_path: Path):
    assert BACKBONE_TYPES == ("wav2vec2", "hubert", "whisper", "clap", "clap_audio_model")
    folder = tiny_models.write_bert(tmp_path / "bert")
    with pytest.raises(
        UserError,
        match=rf"^{KEY}: {folder}: the model's type is bert, expected clap or clap_audio_model or hubert or "
        "wav2vec2 or whisper; "
        "name another model$",
    ):
        load_backbone(str(folder), KEY)


def test_it_is_a_module_in_evaluation_mode(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    assert isinstance(backbone, WaveformBackbone)
    assert not any(module.training for module in backbone.modules())


@torch.inference_mode()
@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("clap")])
def test_the_frames_of_all_layers_are_those_of_transformers(folders: dict[str, Path], name: str):
    backbone = load_backbone(str(folders[name]), KEY)
    waves, lengths = padded(clips(backbone.sample_rate_hz, seconds=(1.0, 1.0)))
    found, counts = backbone.layer_frames(waves, lengths)
    last, expected_counts = backbone.frames(waves, lengths)
    assert torch.equal(counts, expected_counts)
    assert torch.equal(found[-1], last)
    assert len(found) == len(backbone.layers) + 1 == 3
    if name == "whisper":
        expected = backbone.network(backbone.log_mel(waves), output_hidden_states=True)
    else:
        centred = waves - waves.mean(1, keepdim=True)
        inputs = centred / (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()
        expected = backbone.network(inputs, output_hidden_states=True)
    # the last of `hidden_states` may lack the normalisation that follows
    layers = [*expected.hidden_states[:-1], expected.last_hidden_state]
    for own, theirs in zip(found, layers, strict=True):
        torch.testing.assert_close(own, theirs[:, : own.shape[1]], atol=1e-5, rtol=1e-5)


def test_a_layer_that_is_dropped_gives_what_goes_into_it(tmp_path: Path):
    backbone = load_backbone(str(tiny_models.write_wav2vec2(tmp_path / "model", layerdrop=1.0)), KEY).train()
    found, _ = backbone.layer_frames(*padded(clips(16_000, seconds=(0.3,))))
    assert all(torch.equal(frames, found[-1]) for frames in found)
    assert not any(layer._forward_pre_hooks for layer in backbone.layers)


def test_layers_of_unequal_rate_have_no_frames_of_their_own(folders: dict[str, Path]):
    assert load_backbone(str(folders["clap"]), KEY).layers == ()
