"""CNN14 with the pools of the DCASE 2023 baseline: its own numbers, indifferent to padding, 64 frames to one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.audio_encoders import AudioEncoderSpec
from models.frozen.panns import PANNsBackbone
from models.initial_values import initialise
from models.text_encoders import TextEncoderSpec
from tests.models.plain_dcase import panns_names, plain_dcase
from tests.models.plain_panns import randomise
from utils.audio_utils import FrontEnd
from utils.cli_utils import ArtefactError, ConfigError
from utils.config_utils import parse
from utils.criterion_utils import info_nce
from utils.weight_utils import write_weights


def _build(n_mels: int = 64, **keys: object):
    spec = {"name": "CNN14Encoder", "base_channels": 2, "last_pool": "dcase2023"} | keys
    return parse(spec, AudioEncoderSpec, "conf.yaml").build(5, n_mels)


def _encoder(seed: int = 0, **keys: object):
    torch.manual_seed(seed)
    encoder = _build(**keys)
    randomise(encoder, seed)
    return encoder


def _features(lengths: list[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(length, 64, generator=generator) - 6 for length in lengths]


def _padded(clips: list[torch.Tensor], extra: int = 0, value: float = -36.04) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.full((len(clips), int(lengths.max()) + extra, 64), value)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return batch, lengths


@pytest.mark.parametrize("frames", [64, 65, 127, 128, 333])
def test_unpadded_clips_give_the_baselines_embedding(frames):
    plain = plain_dcase().eval()
    encoder = _build().eval()
    encoder.load_state_dict(panns_names(plain.state_dict()))
    clips, lengths = _padded(_features([frames] * 2))
    with torch.no_grad():
        expected = torch.nn.functional.normalize(plain(clips), dim=-1)
        found = torch.nn.functional.normalize(encoder(clips, lengths), dim=-1)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_it_is_another_network_than_panns():
    clips, lengths = _padded(_features([200]))
    state = _encoder().state_dict()
    outputs = []
    for last_pool in ("dcase2023", "panns"):
        encoder = _build(last_pool=last_pool).eval()
        encoder.load_state_dict(state)
        outputs.append(encoder(clips, lengths))
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


def test_one_step_of_adam_is_the_baselines():
    plain = plain_dcase().double()
    encoder = _build(dropout=0, fc_dropout=0).double()
    encoder.load_state_dict(panns_names(plain.state_dict()))
    clips, lengths = _padded(_features([130] * 4))
    texts = torch.nn.functional.normalize(torch.randn(4, 5, dtype=torch.double), dim=-1)
    states, gradients, losses = [], [], []
    for network, arguments in ((plain, (clips.double(),)), (encoder, (clips.double(), lengths))):
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        embeddings = torch.nn.functional.normalize(network(*arguments), dim=-1)
        loss = info_nce(embeddings, texts, torch.arange(4), temperature=0.07)
        loss.backward()
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
        optimizer.step()
        losses.append(loss.detach())
        states.append(network.state_dict())
    torch.testing.assert_close(losses[0], losses[1], atol=1e-10, rtol=0)
    for expected, found in ((panns_names(gradients[0]), gradients[1]), (panns_names(states[0]), states[1])):
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            torch.testing.assert_close(
                found[key], value, atol=1e-10, rtol=0, msg=lambda text, key=key: f"{key}: {text}"
            )
    assert max(float(value.abs().max()) for value in gradients[1].values()) > 1e-3


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 150), min_size=1, max_size=3), seed=st.integers(0, 99), extra=st.integers(0, 70))
def test_an_embedding_is_the_same_alone_and_in_any_batch(lengths, seed, extra):
    encoder = _encoder(seed).eval()
    clips = _features(lengths, seed)
    with torch.no_grad():
        together = encoder(*_padded(clips, extra))
        alone = torch.cat([encoder(clip[None], torch.tensor([len(clip)])) for clip in clips])
    assert (together - alone).abs().max() <= 1e-5


@settings(max_examples=5, deadline=None)
@given(lengths=st.lists(st.integers(1, 150), min_size=2, max_size=3), extra=st.integers(1, 70))
def test_training_does_not_feel_extra_padding(lengths, extra):
    found = []
    for more in (0, extra):
        encoder = _encoder(dropout=0, fc_dropout=0).double()
        clips, counts = _padded(_features(lengths), more)
        output = encoder(clips.double(), counts)
        output.pow(2).sum().backward()
        found.append({"output": output} | {name: p.grad for name, p in encoder.named_parameters()})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-7, rtol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


def test_64_frames_become_one_and_shorter_clips_count_as_one():
    encoder = _encoder().eval()
    assert encoder.stride == 64
    with torch.no_grad():
        frames, counts = encoder.frames(*_padded(_features([1, 63, 64, 127, 128, 200])))
    assert counts.tolist() == [1, 1, 1, 1, 2, 3]
    assert frames.shape == (6, 3, 64)
    backbone = PANNsBackbone(encoder, FrontEnd.model_validate({"name": "dcase2023"}))
    for samples in (1, 882 * 63, 882 * 127, 882 * 128):
        wave = 0.1 * torch.randn(1, samples)
        assert int(backbone.frames(wave, torch.tensor([samples]))[1]) == backbone.frame_count(samples)


def test_too_few_bands_are_refused():
    with pytest.raises(ConfigError, match=r"CNN14Encoder needs 64 mel bands or more, got 32 from data\.front_end"):
        _build(n_mels=32)


def test_weights_of_the_other_network_are_refused_one_way_alone(tmp_path):
    path = tmp_path / "w.pth"
    state = _encoder().state_dict()
    write_weights(path, state, {"encoder": "CNN14Encoder", "last_pool": "dcase2023"})
    _build(weights=str(path))
    with pytest.raises(ArtefactError) as caught:
        _build(weights=str(path), last_pool="panns")
    assert str(caught.value) == (
        f"{path}: trained with last_pool dcase2023, model.audio_encoder.last_pool is panns, which gives other "
        "embeddings; set model.audio_encoder.last_pool: dcase2023"
    )
    write_weights(path, state, {"encoder": "CNN14Encoder"})  # PANNs', where the baseline's training begins
    _build(weights=str(path))


def test_initial_values_have_the_deviations_of_their_source():
    torch.manual_seed(0)
    linear = torch.nn.Linear(2048, 300)
    for values, deviation in (("kaiming_normal", (2 / 2048) ** 0.5), ("xavier_uniform", (2 / 2348) ** 0.5)):
        initialise(linear, values)
        assert abs(linear.weight.std().item() / deviation - 1) < 0.02
        assert not linear.bias.any()
    for spec, union in (
        ({"name": "CNN14Encoder", "base_channels": 8}, AudioEncoderSpec),
        ({"name": "SentBERTBaseEncoder"}, TextEncoderSpec),
    ):
        encoder = parse(spec | {"init": "kaiming_normal"}, union, "conf.yaml").build(300, 768)
        layer = encoder.fc_out if hasattr(encoder, "fc_out") else encoder.layers[1]
        assert abs(layer.weight.std().item() / (2 / layer.in_features) ** 0.5 - 1) < 0.02
        kernels = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
        for kernel in kernels[2:]:
            assert abs(kernel.weight.std().item() / (2 / (9 * kernel.in_channels)) ** 0.5 - 1) < 0.1
