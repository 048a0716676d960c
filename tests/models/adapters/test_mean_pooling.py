"""Equal segments and their means, by hand."""

import torch

from models.adapters.mean_pooling import MeanPoolingLayers
from models.adapters.segments import equal_segments, segment_means


def test_equal_segments_by_hand():
    lengths = torch.tensor([7, 2, 3, 1])
    found = equal_segments(lengths, 7, 3)
    own = [row[:length].tolist() for row, length in zip(found, lengths, strict=True)]
    assert own == [[0, 0, 0, 1, 1, 2, 2], [0, 1], [0, 1, 2], [0]]


def test_means_of_segments_by_hand():
    frames = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [7.0, 1.0]], [[5.0, 5.0], [9.0, 9.0], [9.0, 9.0]]])
    own = torch.tensor([[True, True, True], [True, False, False]])
    means = segment_means(frames, torch.tensor([[0, 0, 1], [0, 1, 2]]), own, 2)
    assert means.tolist() == [[[2.0, 2.0], [7.0, 1.0]], [[5.0, 5.0], [0.0, 0.0]]]


def test_the_mean_of_many_frames_is_precise_under_autocast():
    layers = MeanPoolingLayers(1, 1, tokens=1)
    torch.nn.init.ones_(layers.projection.weight)
    torch.nn.init.zeros_(layers.projection.bias)
    frames = torch.full((1, 1000, 1), 1.0)
    frames[0, ::2] = 1.001  # bfloat16 has no number between 1 and 1.0078
    own = torch.ones(1, 1000, dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        means = segment_means(frames, equal_segments(torch.tensor([1000]), 1000, 1), own, 1)
    torch.testing.assert_close(means.item(), 1.0005, rtol=1e-6, atol=0)
