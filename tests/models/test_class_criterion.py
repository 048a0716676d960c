"""The loss of classifiers: by hand, against torch, and what mixing does to a batch."""

import pytest
import torch
import torch.nn.functional as F

from models.class_criterion import CrossEntropySpec, MixedBatch, class_weights, mixup

COUNTS = torch.tensor([6, 2, 0])
LOGITS, TARGETS = torch.tensor([[2.0, 0.0, 1.0], [0.5, 0.2, 0.1], [0.0, 3.0, 0.0]]), torch.tensor([0, 1, 1])


def criterion(**keys):
    return CrossEntropySpec(name="CrossEntropy", **keys).build(COUNTS)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_plain_cross_entropy_is_torchs(smoothing: float):
    found = criterion(label_smoothing=smoothing)(LOGITS, TARGETS)
    torch.testing.assert_close(found, F.cross_entropy(LOGITS, TARGETS, label_smoothing=smoothing))


def test_weights_by_hand():
    assert class_weights(COUNTS, "none").tolist() == [1, 1, 0]
    torch.testing.assert_close(class_weights(COUNTS, "balanced"), torch.tensor([8 / 12, 8 / 4, 0]))
    found = class_weights(COUNTS, "square_root")
    assert found[1] / found[0] == pytest.approx(3**0.5)
    assert float((found * COUNTS).sum()) == pytest.approx(8)  # the mean over recordings is 1


def test_the_balanced_loss_of_all_recordings_is_the_mean_of_the_classes():
    logits, targets = torch.randn(8, 3), torch.tensor([0] * 6 + [1] * 2)
    losses = F.cross_entropy(logits, targets, reduction="none")
    expected = (losses[:6].mean() + losses[6:].mean()) / 2
    torch.testing.assert_close(criterion(class_weights="balanced")(logits, targets), expected)


def test_the_loss_of_a_mixed_batch_by_hand():
    mixed = MixedBatch(torch.empty(3), torch.tensor([1, 2, 0]), torch.tensor([0.9, 0.5, 1.0]))
    losses = [F.cross_entropy(LOGITS[n : n + 1], torch.tensor([c])) for n, c in ((0, 0), (0, 1), (1, 1), (2, 1))]
    expected = (0.9 * losses[0] + 0.1 * losses[1] + losses[2] + losses[3]) / 3
    torch.testing.assert_close(criterion(mixup=1.0)(LOGITS, TARGETS, mixed), expected)


@pytest.mark.parametrize("bands", [0, 2])
def test_a_shorter_partner_is_repeated(bands: int):
    lengths = torch.tensor([5, 2, 3])
    waves = torch.tensor([[1.0, 2, 3, 4, 5], [10, 20, 0, 0, 0], [100, 200, 300, 0, 0]])
    features = waves[:, :, None].repeat(1, 1, bands) if bands else waves
    torch.manual_seed(3)
    found = mixup(features, lengths, 1.0)
    assert sorted(found.partners.tolist()) == [0, 1, 2]
    assert found.partners.tolist() != [0, 1, 2]
    for row, (partner, share) in enumerate(zip(found.partners.tolist(), found.shares.tolist(), strict=True)):
        assert 0.5 <= share <= 1
        own = waves[row, : lengths[row]]
        other = waves[partner, : lengths[partner]].repeat(3)[: len(own)]
        mixed = found.features[row, : lengths[row]]
        expected = share * own + (1 - share) * other
        torch.testing.assert_close(mixed[:, 1] if bands else mixed, expected)


def test_windows_of_one_length_are_mixed_sample_by_sample():
    waves = torch.randn(4, 9)
    found = mixup(waves, torch.full((4,), 9), 0.5)
    expected = found.shares[:, None] * waves + (1 - found.shares[:, None]) * waves[found.partners]
    torch.testing.assert_close(found.features, expected)


def test_vectors_are_mixed_whole_and_draws_repeat():
    vectors, lengths = torch.randn(4, 6), torch.ones(4, dtype=torch.int64)
    torch.manual_seed(0)
    first = mixup(vectors, lengths, 0.3)
    torch.manual_seed(0)
    again = mixup(vectors, lengths, 0.3)
    assert torch.equal(first.features, again.features)
    expected = first.shares[:, None] * vectors + (1 - first.shares[:, None]) * vectors[first.partners]
    torch.testing.assert_close(first.features, expected)


def test_evaluation_is_not_mixed():
    found = criterion(mixup=1.0)
    assert found.train().mixed(torch.zeros(2, 3), torch.tensor([3, 3])) is not None
    assert found.eval().mixed(torch.zeros(2, 3), torch.tensor([3, 3])) is None
    assert criterion().train().mixed(torch.zeros(2, 3), torch.tensor([3, 3])) is None
    assert not found.state_dict()
