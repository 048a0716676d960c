from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.audio_encoders import AudioEncoderSpec
from models.audio_encoders.cnn10 import CNN10Spec
from models.audio_encoders.wav2vec2 import Wav2Vec2Encoder, Wav2Vec2Spec
from tests import tiny_models
from tests.models.backbones.test_backbones import clips, padded
from utils.cli_utils import ConfigError, UserError
from utils.config_utils import parse

WRITERS = {
    "Wav2Vec2Encoder": tiny_models.write_wav2vec2,
    "HubertEncoder": tiny_models.write_hubert,
    "WhisperEncoder": lambda folder: tiny_models.write_whisper(folder, seconds=2),
    "ClapAudioEncoder": tiny_models.write_clap,
}


def spec_of(name: str, folder: Path, **keys: object) -> Wav2Vec2Spec:
    return parse({"name": name, "model": str(folder), **keys}, AudioEncoderSpec, "")


def built(name: str, folder: Path, out_dim: int = 6, **keys: object) -> Wav2Vec2Encoder:
    torch.manual_seed(0)
    return spec_of(name, WRITERS[name](folder), **keys).build(out_dim, 1)


def batch_of(encoder: Wav2Vec2Encoder, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return padded(clips(encoder.backbone.sample_rate_hz, seed=seed))


def two_steps(encoder: Wav2Vec2Encoder, precision: torch.dtype = torch.float32) -> list[float]:
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for step in range(2):
        encoder.train()
        with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
            loss = encoder(*batch_of(encoder, step)).float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("pooling", ["mean", "attention", "statistics"])
@pytest.mark.parametrize("name", WRITERS)
def test_an_embedding_is_the_same_alone_and_in_any_batch(tmp_path: Path, name: str, pooling: str):
    encoder = built(name, tmp_path / "model", pooling=pooling).eval()
    if pooling == "attention":
        torch.nn.init.normal_(encoder.pool.score.weight)  # it starts as the mean
    waves, lengths = batch_of(encoder)
    with torch.inference_mode():
        together = encoder(waves, lengths)
        assert together.shape == (4, 6)
        for row, length in enumerate(lengths.tolist()):
            alone = encoder(waves[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(together[row], alone[0], atol=1e-4, rtol=0)
        assert torch.equal(encoder(waves, lengths), together)


@pytest.mark.parametrize("pooling", ["mean", "attention", "statistics"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_frozen_backbone_is_unchanged_to_the_bit_and_only_pooling_and_head_learn(
    tmp_path: Path, name: str, pooling: str
):
    encoder = built(name, tmp_path / "model", trainable=False, pooling=pooling)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    two_steps(encoder)
    assert encoder.training
    assert not any(module.training for module in encoder.backbone.modules())
    assert all(parameter.grad is None for parameter in encoder.backbone.parameters())
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("backbone."), key


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_trainable_backbone_learns_and_stays_finite(tmp_path: Path, name: str, precision: torch.dtype):
    encoder = built(name, tmp_path / "model", freeze_feature_encoder=False)
    before = {key: value.clone() for key, value in encoder.named_parameters()}
    assert all(loss == loss and loss > 0 for loss in two_steps(encoder, precision))  # not NaN
    changed = {key for key, value in encoder.named_parameters() if not torch.equal(value, before[key])}
    assert all(value.isfinite().all() for value in encoder.parameters())
    assert len(changed) > 0.7 * len(before)
    if name in ("Wav2Vec2Encoder", "HubertEncoder"):
        assert any("feature_extractor" in key for key in changed)
    encoder.eval()
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        assert encoder(*batch_of(encoder)).isfinite().all()


@pytest.mark.parametrize("name", ["Wav2Vec2Encoder", "HubertEncoder"])
def test_the_feature_encoder_is_frozen_by_default(tmp_path: Path, name: str):
    encoder = built(name, tmp_path / "model")
    before = {key: value.clone() for key, value in encoder.named_parameters()}
    two_steps(encoder)
    for key, value in encoder.backbone.network.feature_extractor.named_parameters():
        assert torch.equal(value, before[f"backbone.network.feature_extractor.{key}"])
        assert value.grad is None
    assert not encoder.backbone.feature_encoder.training
    assert encoder.backbone.network.encoder.training
    key = "backbone.network.encoder.layer_norm.weight"
    assert not torch.equal(encoder.get_parameter(key), before[key])


def test_attention_starts_as_the_mean_and_its_gradients_reach_the_score(tmp_path: Path):
    encoder = built("Wav2Vec2Encoder", tmp_path / "model", pooling="attention", trainable=False).eval()
    waves, lengths = batch_of(encoder)
    expected = encoder.fc_out(encoder.backbone.vectors(waves, lengths))
    output = encoder(waves, lengths)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    output.square().sum().backward()
    assert encoder.pool.score.weight.grad.abs().sum() > 0


def test_sample_rate_and_lengths_are_those_of_the_network(tmp_path: Path):
    encoder = built("ClapAudioEncoder", tmp_path / "clap")
    backbone = encoder.backbone
    assert (backbone.sample_rate_hz, backbone.min_samples, backbone.max_samples) == (48_000, 1, 480_000)
    encoder = built("Wav2Vec2Encoder", tmp_path / "wav2vec2", layers=1)
    backbone = encoder.backbone
    assert (backbone.sample_rate_hz, backbone.min_samples, backbone.max_samples) == (16_000, 85, None)
    assert len(encoder.backbone.network.encoder.layers) == 1
    assert (Wav2Vec2Spec.input, CNN10Spec.input) == ("wave", "logmel")


def test_a_checkpoint_restores_the_encoder(tmp_path: Path):
    encoder = built("Wav2Vec2Encoder", tmp_path / "model", pooling="attention")
    two_steps(encoder)
    again = spec_of("Wav2Vec2Encoder", tmp_path / "model", pooling="attention").build(6)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again.eval()(*batch_of(encoder)), encoder.eval()(*batch_of(encoder)))


def test_a_clip_shorter_than_the_receptive_field_is_refused(tmp_path: Path):
    encoder = built("HubertEncoder", tmp_path / "model")
    with pytest.raises(ValueError, match=r"^a clip has 84 samples at 16000 Hz, expected 85 to 90: it is shorter than"):
        encoder(torch.zeros(1, 90), torch.tensor([84]))


@pytest.mark.parametrize(
    ("name", "writer", "message"),
    [
        (
            "Wav2Vec2Encoder",
            "HubertEncoder",
            "hubert, expected wav2vec2 for Wav2Vec2Encoder; .*, or HubertEncoder in m",
        ),
        (
            "WhisperEncoder",
            "ClapAudioEncoder",
            "clap, expected whisper for WhisperEncoder; .*, or ClapAudioEncoder in ",
        ),
        ("ClapAudioEncoder", "bert", "bert, expected clap for ClapAudioEncoder; name another model$"),
    ],
)
def test_a_name_that_does_not_fit_the_model_is_refused(tmp_path: Path, name: str, writer: str, message: str):
    folder = (WRITERS | {"bert": tiny_models.write_bert})[writer](tmp_path / "model")
    with pytest.raises(UserError, match=rf"^model.audio_encoder.model: {folder}: the model's type is {message}"):
        spec_of(name, folder).build(6)


def test_a_partial_or_missing_folder_is_refused(tmp_path: Path):
    folder = tiny_models.write_wav2vec2(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError,
        match=rf"^model.audio_encoder.model: {folder}: .* misses 1 weights of a Wav2Vec2Model: encoder.layers.1.attent",
    ):
        spec_of("Wav2Vec2Encoder", folder).build(6)
    with pytest.raises(UserError, match=r"^model.audio_encoder.model: .*absent: no such folder; correct model.audio_e"):
        spec_of("Wav2Vec2Encoder", tmp_path / "absent").build(6)


def test_layers_that_a_model_does_not_have_are_refused(tmp_path: Path):
    folder = tiny_models.write_wav2vec2(tmp_path / "model")
    with pytest.raises(UserError, match=rf"^model.audio_encoder.layers: 9, but {folder} has 2 transformer layers; set"):
        spec_of("Wav2Vec2Encoder", folder, layers=9).build(6)
    with pytest.raises(ConfigError, match="layers: ClapAudioEncoder takes no choice of layers; leave the key out"):
        spec_of("ClapAudioEncoder", folder, layers=1)
    with pytest.raises(ConfigError, match="weighted_layers: the layers of AisfxEncoder differ in width or rate; leave"):
        spec_of("AisfxEncoder", folder, weighted_layers=True)


@pytest.mark.parametrize("name", ["Wav2Vec2Encoder", "HubertEncoder", "WhisperEncoder"])
def test_weighted_layers_are_pooled_and_their_weights_learn(tmp_path: Path, name: str):
    encoder = built(name, tmp_path / "model", weighted_layers=True, trainable=False).eval()
    waves, lengths = batch_of(encoder)
    with torch.no_grad():
        encoder.layer_weights.logits.copy_(torch.tensor([-50.0, -50.0, 50.0]))  # the last layer alone
        torch.testing.assert_close(encoder(waves, lengths), encoder.fc_out(encoder.backbone.vectors(waves, lengths)))
        encoder.layer_weights.logits.zero_()
        row = encoder(waves[1:2, : lengths[1]], lengths[1:2])
        torch.testing.assert_close(encoder(waves, lengths)[1:2], row, atol=1e-4, rtol=0)
    two_steps(encoder)
    assert encoder.layer_weights.logits.abs().min() > 0
