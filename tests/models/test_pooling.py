import pytest
import torch

from models.pooling import AttentionPooling, LayerWeights, StatisticsPooling, masked_mean

FRAMES = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [float("nan"), 9.0]], [[4.0, 0.0], [5.0, 0.0], [6.0, 3.0]]])
COUNTS = torch.tensor([2, 3])


def test_the_mean_counts_a_clips_own_frames():
    assert torch.equal(masked_mean(FRAMES, COUNTS), torch.tensor([[2.0, 4.0], [5.0, 1.0]]))
    assert masked_mean(FRAMES.bfloat16(), COUNTS).dtype == torch.float32


def test_attention_starts_as_the_mean():
    torch.testing.assert_close(AttentionPooling(2)(FRAMES, COUNTS), masked_mean(FRAMES, COUNTS))


def test_attention_weighs_by_softmax_over_a_clips_own_frames():
    pool = AttentionPooling(2)
    with torch.no_grad():
        pool.hidden.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        pool.score.weight.copy_(torch.tensor([[2.0, 0.0]]))
    weights = (2 * FRAMES[0, :2, 0].tanh()).softmax(0)
    expected = (weights[:, None] * FRAMES[0, :2]).sum(0)
    torch.testing.assert_close(pool(FRAMES, COUNTS)[0], expected)


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("pool", [masked_mean, AttentionPooling(2), StatisticsPooling()])
def test_counts_outside_the_frames_are_refused(pool, count: int):
    with pytest.raises(ValueError, match=rf"^a clip has {count} frames, expected 1 to 3$"):
        pool(FRAMES, torch.tensor([1, count]))


def test_statistics_are_mean_and_deviation_of_a_clips_own_frames():
    found = StatisticsPooling()(FRAMES, COUNTS)
    expected = torch.stack([FRAMES[0, :2].std(0, correction=0), FRAMES[1].std(0, correction=0)])
    torch.testing.assert_close(found, torch.cat([masked_mean(FRAMES, COUNTS), expected], 1))


def test_the_deviation_of_constant_frames_has_a_gradient():
    frames = torch.ones(1, 3, 2, requires_grad=True)
    StatisticsPooling()(frames, torch.tensor([3])).sum().backward()
    torch.testing.assert_close(frames.grad, torch.full((1, 3, 2), 1 / 3))


def test_layers_count_alike_at_first_and_then_by_their_weights():
    layers = [torch.full((1, 2, 3), value) for value in (1.0, 3.0, 8.0)]
    pool = LayerWeights(3)
    torch.testing.assert_close(pool(layers), torch.full((1, 2, 3), 4.0))
    with torch.no_grad():
        pool.logits.copy_(torch.tensor([0.5, 0.25, 0.25]).log())
    torch.testing.assert_close(pool([layer.bfloat16() for layer in layers]), torch.full((1, 2, 3), 3.25))
