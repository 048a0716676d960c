import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.audio_encoders.panns_blocks import ConvBlock, MaskedBatchNorm2d, frame_rows, rows_beyond

CPU = torch.device("cpu")


def test_rows_are_the_frames():
    activations = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    rows = frame_rows(activations)
    assert torch.equal(rows[1 * 4 + 2], activations[1, :, 2, :].T.flatten())
    assert rows.data_ptr() == activations.data_ptr()


def test_rows_beyond_the_end():
    assert rows_beyond(torch.tensor([1, 3, 2]), 3, CPU).tolist() == [1, 2, 8]
    assert rows_beyond(torch.tensor([3, 3]), 3, CPU).tolist() == []


def _normalised_both_ways(lengths: list[int], dtype: torch.dtype, seed: int = 0):
    """Gradients, statistics and outputs of a padded batch, and of its own frames alone through nn.BatchNorm2d."""
    torch.manual_seed(seed)
    channels, bands, frames = 3, 4, max(lengths) + 2
    counts = torch.tensor(lengths)
    inside = torch.arange(frames) < counts[:, None]
    padded = (2 * torch.randn(len(lengths), channels, frames, bands, dtype=dtype) + 3).requires_grad_()
    weights = torch.randn(int(counts.sum()), bands, channels, dtype=dtype)
    masked, plain = MaskedBatchNorm2d(channels).to(dtype), nn.BatchNorm2d(channels).to(dtype)
    with torch.no_grad():
        masked.weight.uniform_(0.5, 1.5)
        masked.bias.normal_()
    plain.load_state_dict(masked.state_dict())
    copied = (padded * 1).contiguous(memory_format=torch.channels_last)
    output = masked(copied, rows_beyond(counts, frames, CPU)).permute(0, 2, 3, 1)[inside]  # (N, F, C)
    (output * weights).sum().backward()
    alone = padded.detach().permute(0, 2, 3, 1)[inside].requires_grad_()  # (N, F, C)
    expected = plain(alone.reshape(-1, channels, 1, 1)).view_as(alone)
    (expected * weights).sum().backward()
    own = padded.grad.permute(0, 2, 3, 1)
    assert own[~inside].abs().sum() == 0
    pairs = {
        "output": (output, expected),
        "input gradient": (own[inside], alone.grad),
        "weight gradient": (masked.weight.grad, plain.weight.grad),
        "bias gradient": (masked.bias.grad, plain.bias.grad),
    }
    return pairs | {key: (value, plain.state_dict()[key]) for key, value in masked.state_dict().items()}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_training_statistics_count_own_frames_alone(lengths, seed):
    for name, (found, expected) in _normalised_both_ways(lengths, torch.float64, seed).items():
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


def test_training_statistics_in_float32():
    for found, expected in _normalised_both_ways([7, 2, 5], torch.float32).values():
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_training_statistics_of_narrow_types(dtype):
    """1500 frames of about 100 sum to more than float16 holds; float32 weights and statistics as under autocast."""
    torch.manual_seed(0)
    norm = MaskedBatchNorm2d(2)
    activations = (100 + 10 * torch.randn(2, 2, 1000, 4)).contiguous(memory_format=torch.channels_last)
    own = torch.cat([activations[0].flatten(1), activations[1, :, :500].flatten(1)], dim=1)  # (C, N)
    output = norm(activations.to(dtype), rows_beyond(torch.tensor([1000, 500]), 1000, CPU))
    expected = (own - own.mean(1, keepdim=True)) / own.std(1, keepdim=True)
    torch.testing.assert_close(output[0].float().flatten(1), expected[:, :4000], atol=0.1, rtol=0)
    torch.testing.assert_close(norm.running_mean, own.mean(1) * 0.1, atol=0.05, rtol=0)
    torch.testing.assert_close(norm.running_var, 0.9 + own.var(1) * 0.1, atol=0.2, rtol=0)


def test_without_padding_it_is_batch_norm_to_the_bit():
    torch.manual_seed(0)
    masked, plain = MaskedBatchNorm2d(3), nn.BatchNorm2d(3)
    activations = torch.randn(4, 3, 6, 5)
    for padded in (None, torch.empty(0, dtype=torch.int64)):
        assert torch.equal(masked(activations, padded), plain(activations))
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in masked.state_dict().items())
    masked.eval(), plain.eval()
    assert torch.equal(masked(activations, torch.tensor([5])), plain(activations))


def test_a_block_leaves_zeros_after_each_end_and_halves_lengths():
    torch.manual_seed(0)
    block = ConvBlock(2, 4, (3, 3), 2, 0.0)
    activations = torch.randn(3, 2, 9, 8)
    lengths = torch.tensor([9, 5, 2])
    activations[torch.arange(3)[:, None], :, torch.arange(9)] *= (torch.arange(9) < lengths[:, None])[..., None, None]
    output, halved = block(activations.contiguous(memory_format=torch.channels_last), lengths)
    assert halved.tolist() == [4, 2, 1]
    assert output.shape == (3, 4, 4, 4)
    for clip, length in zip(output, halved.tolist(), strict=True):
        assert clip[:, length:].abs().sum() == 0
        assert clip[:, :length].abs().sum() > 0
