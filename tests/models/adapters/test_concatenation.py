"""Groups of frames, by hand."""

import torch

from models.adapters.concatenation import ConcatenationLayers


def test_groups_by_hand():
    layers = ConcatenationLayers(2, 3, frames_per_token=2, hidden_dim=4)
    groups = layers.groups(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))
    assert groups.tolist() == [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 0.0, 0.0]]]
