"""Strided convolutions: the windows by hand, and strides that would drop frames."""

import pytest
import torch

from models.adapters import AdapterSpec
from models.adapters.conv1d import StridedConvolution
from utils.cli_utils import ConfigError
from utils.config_utils import parse


def test_windows_by_hand():
    """Kernel 3, stride 2: output i sums inputs 2i to 2i + 2; zeros follow the last."""
    layer = StridedConvolution(1, 1, 1, kernel_size=3, stride=2)
    for parameter, value in zip(layer.parameters(), (1.0, 0.0, 1.0, 0.5), strict=True):
        torch.nn.init.constant_(parameter, value)
    assert layer(torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).view(1, 5, 1)).flatten().tolist() == [7.5, 28.5, 16.5]
    assert layer(torch.tensor([-1.0, 0.0]).view(1, 2, 1)).flatten().tolist() == [0.5]  # relu before the linear layer


def test_a_kernel_shorter_than_a_stride_is_refused():
    with pytest.raises(ConfigError, match=r"kernel_size: 3 is below a stride of 4, .* expected 4 or more"):
        parse({"name": "Conv1dAdapter", "strides": [1, 4]}, AdapterSpec, "conf.yaml")
