"""Frozen image encoders: any picture in, the same output alone and in any batch, nothing learns."""

import numpy as np
import pytest
import torch

from models.frozen.images import load_frozen_image
from tests import tiny_models
from tests.utils.image_utils.test_network_input import picture

PICTURES = [picture(20 + 9 * number, 60 - 7 * number, number) for number in range(5)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_frozen_image(str(tiny_models.write_clip_vision(tmp_path_factory.mktemp("clip") / "clip")))


def test_alone_and_in_any_batch(encoder):
    alone = [encoder.frames([one])[0] for one in PICTURES]
    vectors = np.concatenate([encoder.vectors([one]) for one in PICTURES])
    prepared = [encoder.prepare(one) for one in PICTURES]
    assert {one.shape for one in prepared} == {(32, 32, 3)}
    for size in (1, 2, 5, 16):
        for found, wanted in zip(encoder.embed(prepared, "patches", size), alone, strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, atol=1e-4)
        pooled = encoder.embed(prepared, "pooled", size)
        assert {one.shape for one in pooled} == {(1, 12)}
        np.testing.assert_allclose(np.concatenate(pooled), vectors, atol=1e-4)
    assert np.abs(alone[0] - alone[1]).max() > 1


def test_nothing_in_nothing_out(encoder):
    assert encoder.frames([]) == []
    assert encoder.vectors([]).shape == (0, encoder.width)


def test_a_patch_is_where_it_is_in_the_picture(encoder):
    """A change in one corner changes that token before the first layer mixes them: most of all there."""
    plain = np.full((32, 32, 3), 90, np.uint8)
    changed = plain.copy()
    changed[24:, :8] = (255, 0, 0)
    embeddings = encoder._backbone.network.vision_model.embeddings
    pixels = encoder._pixels([plain, changed])
    difference = embeddings(pixels)[:, 1:].diff(dim=0)[0].abs().sum(1)
    assert difference.nonzero().flatten().tolist() == [3 * 4]


def test_it_is_frozen_and_says_what_it_is(encoder, tmp_path):
    assert not any(parameter.requires_grad for parameter in encoder._backbone.parameters())
    assert not encoder._backbone.training
    assert encoder.revision.startswith("sha256:")
    other = load_frozen_image(str(tiny_models.write_clip_vision(tmp_path / "other", seed=1)))
    assert other.revision != encoder.revision
    on_a_cpu = load_frozen_image(encoder.name, device=torch.device("cpu"), precision="bf16")
    assert on_a_cpu.precision == "fp32"
