"""Initial values: what a seed means stays what it was, so that earlier results can be repeated."""

import pytest
import torch

from models.audio_encoders.cnn10 import CNN10Spec
from models.text_encoders.sbert import SentBERTBaseEncoder


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    audio = CNN10Spec(name="CNN10Encoder", base_channels=4).build(6, 64)
    return audio, SentBERTBaseEncoder(5, 3, (4,))


@pytest.mark.parametrize(
    ("layer", "first", "total"),
    [
        ("conv_block1.conv1", [-0.2131519, 0.3138808], 6.5673490),
        ("conv_block4.conv2", [0.0068253, 0.0203192], 467.6377160),
        ("fc1", [-0.0302947, -0.1899395], 156.0565836),
        ("fc_out", [0.2812792, -0.2171321], 38.1388251),
    ],
)
def test_a_seed_draws_the_audio_encoder_as_in_the_measured_results(networks, layer, first, total):
    weight = networks[0].get_submodule(layer).weight.detach()
    assert weight.contiguous().flatten()[:2].tolist() == pytest.approx(first, abs=1e-6)
    assert float(weight.double().abs().sum()) == pytest.approx(total, rel=1e-6)


def test_a_seed_draws_the_text_encoder_as_in_the_measured_results(networks):
    first, second = (networks[1].layers[place].weight.detach() for place in (1, 4))
    assert first.flatten()[:2].tolist() == pytest.approx([0.5495880, 0.3468662], abs=1e-6)
    assert float(second.double().abs().sum()) == pytest.approx(5.8574824, rel=1e-6)
