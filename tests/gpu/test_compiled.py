"""Compiled encoders: what they compute eagerly, whatever the padding holds, and the same twice. On a CPU as a graph."""

import copy

import pytest
import torch

from models.audio_encoders.cnn6 import CNN6Encoder
from models.audio_encoders.cnn14 import CNN14Encoder
from tests.models.audio_encoders.test_panns import FLOOR, _encoder, _features, _padded
from utils.model_utils import autocast

LENGTHS = [64, 70, 33, 101]
# As a share of the largest number: TF32 has 11 bits, bf16 8, and a CPU computes float32 with 24.
TOLERANCE = {"fp32": 3e-3, "bf16": 0.1}


@pytest.fixture
def compiled(device):
    """A function that compiles an encoder on the device; on a CPU, which takes minutes, it makes the graph alone."""
    torch.compiler.reset()

    def make(encoder):
        encoder.compile(backend="inductor" if device.type == "cuda" else "eager", fullgraph=True)
        return encoder

    yield make
    torch.compiler.reset()


def kind_on(device):
    return CNN14Encoder if device.type == "cuda" else CNN6Encoder


def step(encoder, precision, device, value=FLOOR):
    """What one step makes: the output, gradients and running statistics, in float32 on the CPU."""
    clips, lengths = _padded(_features(LENGTHS), value=value)
    with autocast(device, precision):
        output = encoder(clips.to(device), lengths)
    output.float().pow(2).sum().backward()
    gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
    found = {"output": output, **gradients, **dict(encoder.named_buffers())}
    return {name: tensor.detach().float().cpu().clone() for name, tensor in found.items()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_encoder_is_the_eager_one_ignores_padding_and_repeats(precision, device, compiled):
    eager = _encoder(kind_on(device), dropout=0.0, fc_dropout=0.0).to(device)
    state = copy.deepcopy(eager.state_dict())
    expected = step(eager, precision, device)
    encoder = compiled(eager)
    found = []
    for value in (FLOOR, FLOOR, 50.0):
        encoder.load_state_dict(state)
        encoder.zero_grad()
        found.append(step(encoder, precision, device, value))
    first, again, other = found
    off = {
        name: ((first[name] - value).abs().max() / value.abs().max().clamp(min=1e-6)).item()
        for name, value in expected.items()
    }
    print(f"{device.type} {precision}: at most {max(off.values()):.1e} of the largest number, {max(off, key=off.get)}")
    assert off["output"] < TOLERANCE[precision]
    for name, value in expected.items():
        cosine = torch.nn.functional.cosine_similarity(first[name].flatten(), value.flatten(), 0)
        assert cosine > 1 - TOLERANCE[precision] or value.norm() < 1e-6, name
        assert torch.equal(again[name], first[name]), name
        assert torch.equal(other[name], first[name]), name


def test_a_compiled_encoder_embeds_a_clip_alone_as_in_a_batch(device, compiled):
    encoder = compiled(_encoder(kind_on(device)).to(device).eval())
    features = _features(LENGTHS[:3])
    with torch.inference_mode():
        clips, lengths = _padded(features)
        together = encoder(clips.to(device), lengths).cpu()
        alone = torch.cat([encoder(clip[None].to(device), torch.tensor([len(clip)])).cpu() for clip in features])
    assert (together - alone).abs().max() <= TOLERANCE["fp32"] * together.abs().max()
