import pytest
import torch
from torch import nn

from models.text_encoders import TextEncoderSpec
from models.text_encoders.sbert import SentBERTBaseEncoder, SentBERTBaseSpec
from utils.cli_utils import ConfigError
from utils.config_utils import parse


def test_the_baseline_is_one_linear_layer():
    torch.manual_seed(0)
    encoder = SentBERTBaseEncoder(5, 3)
    vectors = torch.randn(4, 5)
    (linear,) = [module for module in encoder.modules() if isinstance(module, nn.Linear)]
    assert torch.equal(encoder(vectors), vectors @ linear.weight.T + linear.bias)
    assert torch.equal(linear.bias, torch.zeros(3))
    assert linear.weight.abs().max() <= (6 / (5 + 3)) ** 0.5  # Xavier


def test_hidden_layers_have_their_widths_and_all_learn():
    torch.manual_seed(0)
    encoder = parse({"name": "SentBERTBaseEncoder", "hidden_dims": [8, 6]}, TextEncoderSpec, "").build(3, 5)
    shapes = [tuple(p.shape) for p in encoder.parameters() if p.dim() == 2]
    assert shapes == [(8, 5), (6, 8), (3, 6)]
    output = encoder(torch.randn(16, 5))
    assert output.shape == (16, 3)
    assert (output < 0).any()
    output.pow(2).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


def test_dropout_acts_in_training_alone():
    encoder = SentBERTBaseEncoder(50, 3, dropout=0.5)
    vectors = torch.ones(2, 50)
    assert not torch.equal(*encoder.train()(vectors))
    encoder.eval()
    assert torch.equal(encoder(vectors), encoder(vectors))


def test_vectors_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"^text features are \(2, 4\), expected \(B, 5\)$"):
        SentBERTBaseEncoder(5, 3)(torch.ones(2, 4))


def test_spec_refuses_another_name():
    with pytest.raises(ConfigError, match=r"conf\.yaml: 1 bad key\n  name: .*SentBERTBaseEncoder.*got 'W2V'"):
        parse({"name": "W2V"}, SentBERTBaseSpec, "conf.yaml")
