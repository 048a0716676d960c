"""Attention over frames: positions, weights by hand, heads that do not fit."""

import pytest
import torch

from models.adapters import AdapterSpec
from tests.models.adapters.adapters import batch, build, clips
from utils.cli_utils import ConfigError
from utils.config_utils import parse


@pytest.mark.parametrize(("key", "sees_order"), [("perceiver", True), ("attention", False)])
def test_the_order_of_frames_is_seen_by_positions_alone(key, sees_order):
    adapter = build(key)
    [clip] = clips([9])
    there, back = adapter(*batch([clip]))[0], adapter(*batch([clip.flip(0)]))[0]
    assert torch.allclose(there, back, atol=1e-5) != sees_order


def test_equal_scores_give_the_mean():
    adapter = build("attention")
    torch.nn.init.zeros_(adapter.layers.queries.weight)
    [clip] = clips([9])
    tokens = adapter(*batch([clip]))[0]
    mean = adapter(*batch([clip.mean(0, keepdim=True)]))[0]
    torch.testing.assert_close(tokens, mean)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="width: 16 is no multiple of heads: 3; change one of them"):
        parse({"name": "PerceiverAdapter", "width": 16, "heads": 3}, AdapterSpec, "conf.yaml")
