"""Mirrored convolutions: windows by hand, and the one is the transpose of the other."""

import pytest
import torch
import torch.nn.functional as F

from models.autoencoders.convolution import ConvolutionLayers, MirroredConvolution


def test_windows_by_hand(monkeypatch):
    """Kernel 4, stride 2: output i sums inputs 2i - 1 to 2i + 2; back, input i gets the outputs that it went into."""
    monkeypatch.setattr(F, "gelu", lambda x: x)
    layer = MirroredConvolution(1, 1, [2])
    for name, parameter in layer.named_parameters():
        torch.nn.init.constant_(parameter, float("weight" in name))
    down = layer.down(torch.tensor([[[1.0, 2.0, 4.0, 8.0, 16.0]]]))
    assert down.tolist() == [[[7, 30, 24]]]
    own = torch.ones(1, 1, 3, dtype=torch.bool)
    assert layer.up(down, own, [5]).tolist() == [[[7, 37, 37, 54, 54]]]
    own[..., 2] = False  # a shorter window of the same batch
    assert layer.up(down, own, [5]).tolist() == [[[7, 37, 37, 30, 30]]]


@pytest.mark.parametrize("stride", [[1], [2], [3], [8], [2, 2], [3, 1]])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17])
def test_the_mirror_image_writes_where_the_convolution_reads(monkeypatch, stride, size):
    """With the same weights they are transposes of each other: <down(x), y> = <x, up(y)>."""
    monkeypatch.setattr(F, "gelu", lambda x: x)
    torch.manual_seed(0)
    layer = MirroredConvolution(2, 3, stride).double()
    with torch.no_grad():
        layer.transposed.weight.copy_(layer.convolution.weight)
        layer.convolution.bias.zero_()
        layer.transposed.bias.zero_()
    sizes = [size, 5][: len(stride)]
    x = torch.randn(1, 2, *sizes, dtype=torch.float64)
    y = torch.randn(1, 3, *layer.sizes(sizes), dtype=torch.float64)
    down = layer.down(x)
    assert down.shape == y.shape
    own = torch.ones(1, 1, y.shape[2], *[1] * (len(stride) - 1), dtype=torch.bool)
    torch.testing.assert_close((down * y).sum(), (x * layer.up(y, own, sizes)).sum())


@pytest.mark.parametrize("over_bands", [False, True])
def test_steps_and_widths(over_bands):
    layers = ConvolutionLayers(5, [4, 6], [2, 3], over_bands)
    assert layers.frames_per_step == 6
    assert layers.hidden_width == 6  # 5 bands -> 3 -> 1
    assert layers.counts(torch.tensor([1, 6, 7, 12, 13])).tolist() == [1, 1, 2, 2, 3]
    assert layers.counts(13) == 3
    assert ConvolutionLayers(13, [4, 6], [2, 3], True).hidden_width == 6 * 3  # 13 -> 7 -> 3
