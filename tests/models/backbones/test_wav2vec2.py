import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from models.backbones import load_backbone
from models.pooling import inside
from tests import tiny_models
from tests.models.backbones.test_backbones import KEY, clips, padded
from utils.cli_utils import UserError

WRITERS = {"wav2vec2": tiny_models.write_wav2vec2, "hubert": tiny_models.write_hubert}


@pytest.fixture(params=[(kind, norm) for kind in WRITERS for norm in ("group", "layer")], ids="-".join)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind, norm = request.param
    return WRITERS[kind](tmp_path / kind, norm=norm)


@torch.inference_mode()
def test_frames_are_those_of_transformers_on_one_clip(folder: Path):
    backbone = load_backbone(str(folder), KEY)
    model = AutoModel.from_pretrained(folder).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    for wave in clips(16_000):
        values = extractor(wave.numpy(), sampling_rate=16_000, return_tensors="pt").input_values
        frames, _ = backbone.frames(wave[None], torch.tensor([len(wave)]))
        torch.testing.assert_close(frames, model(values).last_hidden_state, atol=1e-4, rtol=0)


@torch.inference_mode()
def test_only_the_first_layers_are_used(folder: Path):
    wave = clips(16_000)[0][None]
    backbone = load_backbone(str(folder), KEY, layers=1)
    model = AutoModel.from_pretrained(folder).eval()
    values = AutoFeatureExtractor.from_pretrained(folder)(wave[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    expected = model(values.input_values, output_hidden_states=True).hidden_states[1]
    if model.config.do_stable_layer_norm:
        expected = model.encoder.layer_norm(expected)
    torch.testing.assert_close(backbone.frames(wave, torch.tensor([wave.shape[1]]))[0], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("layers", [0, 3])
def test_layers_that_the_model_does_not_have_are_refused(tmp_path: Path, layers: int):
    folder = tiny_models.write_wav2vec2(tmp_path / "model")
    with pytest.raises(
        UserError,
        match=rf"^data.audio_embeddings.layers: {layers}, but {folder} has 2 transformer layers; set 1 to 2, or null",
    ):
        load_backbone(str(folder), KEY, layers=layers)


@torch.inference_mode()
def test_waves_are_standardised_by_default(tmp_path: Path):
    folder = tiny_models.write_wav2vec2(tmp_path / "model", norm="layer")
    settings = folder / "preprocessor_config.json"
    batch, lengths = padded(clips(16_000))
    expected = load_backbone(str(folder), KEY).vectors(batch, lengths)
    louder = load_backbone(str(folder), KEY).vectors(3 * batch, lengths)
    torch.testing.assert_close(louder, expected, atol=1e-4, rtol=0)
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"do_normalize": False}))
    raw = load_backbone(str(folder), KEY).frames(batch[1:2], lengths[1:2])[0]
    model = AutoModel.from_pretrained(folder).eval()
    torch.testing.assert_close(raw, model(batch[1:2]).last_hidden_state, atol=1e-4, rtol=0)
    assert not torch.allclose(load_backbone(str(folder), KEY).vectors(batch, lengths), expected, atol=1e-3)
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": {"do_normalize": True}}))
    assert load_backbone(str(folder), KEY).normalise
    settings.unlink()
    (folder / "processor_config.json").unlink()
    assert torch.equal(load_backbone(str(folder), KEY).vectors(batch, lengths), expected)


@pytest.mark.parametrize("content", ["{", "[1]", '{"feature_size": 1, "sampling_rate": "x", "padding_value": [}', "é"])
def test_a_preprocessor_config_that_cannot_be_used_is_refused(tmp_path: Path, content: str):
    folder = tiny_models.write_wav2vec2(tmp_path / "model")
    (folder / "preprocessor_config.json").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=rf"^{KEY}: {folder}: preprocessor_config.json cannot be used: .*get the mod"):
        load_backbone(str(folder), KEY)


def test_the_mask_vector_may_be_missing_in_a_checkpoint(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = tiny_models.write_wav2vec2(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["masked_spec_embed"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_backbone(str(folder), KEY).network.masked_spec_embed.isfinite().all()


def test_positions_with_batch_normalisation_are_refused(tmp_path: Path):
    folder = tiny_models.write_hubert(tmp_path / "model", conv_pos_batch_norm=True)
    with pytest.raises(UserError, match="conv_pos_batch_norm is true, which depends on padding; name another model"):
        load_backbone(str(folder), KEY)


def test_spec_augment_masks_frames_in_training_alone_and_none_of_short_batches(tmp_path: Path):
    settings = {"mask_time_prob": 0.5, "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    folder = tiny_models.write_wav2vec2(tmp_path / "model", layerdrop=0.0, **settings)
    backbone = load_backbone(str(folder), KEY)
    seen = []
    backbone.network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    waves, lengths = padded(clips(16_000))
    backbone.train().frames(waves, lengths)
    masked = (seen[-1] == backbone.network.masked_spec_embed).all(-1).sum(1)
    assert (masked > 0).any()
    backbone.eval().frames(waves, lengths)
    assert not (seen[-1] == backbone.network.masked_spec_embed).all(-1).any()
    backbone.train().frames(waves[:, :500], torch.full((4,), 500))  # 6 frames, fewer than mask_time_length
    assert not (seen[-1] == backbone.network.masked_spec_embed).all(-1).any()


@pytest.mark.parametrize("kind", WRITERS)
def test_group_normalised_convolutions_of_a_batch_are_those_of_each_clip(kind: str, tmp_path: Path):
    backbone = load_backbone(str(WRITERS[kind](tmp_path / kind)), KEY).double()
    batch, lengths = padded(clips(16_000))
    weight = backbone.network.feature_extractor.conv_layers[0].conv.weight
    together = backbone._convolved(batch.double(), lengths)
    alone = [backbone.network.feature_extractor(wave[None].double())[0].T for wave in clips(16_000)]
    for found, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(found[: len(expected)], expected, atol=1e-10, rtol=1e-10)
    (one,) = torch.autograd.grad(
        sum(found[: len(expected)].square().sum() for found, expected in zip(together, alone, strict=True)), weight
    )
    (other,) = torch.autograd.grad(sum(expected.square().sum() for expected in alone), weight)
    torch.testing.assert_close(one, other, atol=1e-8, rtol=1e-8)


def test_group_normalised_convolutions_run_once(tmp_path: Path):
    backbone = load_backbone(str(tiny_models.write_wav2vec2(tmp_path / "model")), KEY)
    shapes = []
    first = backbone.network.feature_extractor.conv_layers[0].conv
    first.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    backbone.frames(*padded(clips(16_000)))
    assert shapes == [(4, 1, 16_000)]


def test_spec_augment_masks_what_the_network_itself_would(tmp_path: Path):
    settings = {"mask_time_prob": 0.5, "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    folder = tiny_models.write_wav2vec2(tmp_path / "model", layerdrop=0.0, mask_feature_prob=0.3, **settings)
    backbone = load_backbone(str(folder), KEY).train()
    waves, lengths = padded(clips(16_000))
    with torch.no_grad():
        np.random.seed(3)  # noqa: NPY002 - transformers draws from it
        found, counts = backbone.frames(waves, lengths)
        backbone._masked_frames = lambda own: None
        network = backbone.network
        drawn = network._mask_hidden_states
        network._mask_hidden_states = lambda hidden, _: drawn(hidden, attention_mask=inside(counts, hidden.shape[1]))
        np.random.seed(3)  # noqa: NPY002 - transformers draws from it
        expected, _ = backbone.frames(waves, lengths)
    assert torch.equal(found, expected)
