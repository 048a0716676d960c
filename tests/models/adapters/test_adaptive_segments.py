"""Segments that end where frames change, by hand."""

import torch

from models.adapters.adaptive_segments import change_segments


def test_segments_by_hand():
    frames = torch.tensor([[0.0, 0.1, 5.0, 5.2, 5.1, 9.0], [4.0, 4.0, 4.0, 4.0, 8.0, 8.0], [1.0, 7.0, 0, 0, 0, 0]])
    own = torch.arange(6) < torch.tensor([[6], [6], [2]])
    found = change_segments(frames[:, :, None], own, 3)
    assert found[0].tolist() == [0, 0, 1, 1, 1, 2]
    assert found[1].tolist() == [0, 1, 1, 1, 2, 2]  # of equal changes, the first
    assert found[2, :2].tolist() == [0, 1]  # the jump into the padding is none


def test_a_clip_of_one_frame_is_one_segment():
    assert change_segments(torch.ones(1, 1, 3), torch.ones(1, 1, dtype=torch.bool), 4).tolist() == [[0]]
