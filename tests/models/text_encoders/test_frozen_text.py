"""The frozen text space: vectors pass through, and its width cannot be another."""

import pytest
import torch

from models.text_encoders.frozen_text import FrozenTextSpec
from utils.cli_utils import ConfigError


def test_vectors_pass_through_and_nothing_learns():
    encoder = FrozenTextSpec(name="FrozenText").build(out_dim=4, text_dim=4)
    vectors = torch.randn(3, 4)
    assert torch.equal(encoder(vectors), vectors)
    assert list(encoder.parameters()) == []


def test_another_width_is_refused():
    with pytest.raises(ConfigError, match=r"model\.out_dim: found 300, but the frozen text vectors have 512"):
        FrozenTextSpec(name="FrozenText").build(out_dim=300, text_dim=512)
