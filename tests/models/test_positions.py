"""Sinusoidal positions, by hand."""

import torch

from models.positions import sinusoids


def test_positions_by_hand():
    found = sinusoids(2, 4, torch.device("cpu"))
    expected = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.841471, 0.0099998, 0.540302, 0.99995]])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
