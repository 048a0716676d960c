"""Standardisation: statistics by hand, in one pass over any number of tables, without a loss of precision."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models import standardisation
from models.standardisation import Standardisation, moments
from tests.models.test_projections import vectors


def test_standardisation_by_hand():
    standardise = Standardisation(2)
    standardise.fit([torch.tensor([[1.0, 5.0], [3.0, 5.0]])])  # mean 2 and 5, deviation 1 and 0
    out = standardise(torch.tensor([[4.0, 5.0], [2.0, 6.0]]))
    assert out.tolist() == [[2.0, 0.0], [0.0, 1.0]]  # the constant dimension is only centred


def far_vectors(rows, width=64):
    return torch.from_numpy(np.random.default_rng(0).normal(1000, 0.5, (rows, width)).astype(np.float32))


def test_moments_of_many_blocks_are_those_of_the_whole_table():
    table = far_vectors(2 * standardisation._BLOCK // 64 + 17)
    mean, deviation = moments([table])
    whole = table.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, whole.std(0), rtol=1e-12)


class LargestDouble(TorchDispatchMode):
    """Notes the most numbers that one tensor in double precision holds."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dtype == torch.float64:
            self.largest = max(self.largest, made.numel())
        return made


def test_a_large_table_is_taken_to_double_precision_block_by_block(monkeypatch):
    monkeypatch.setattr(standardisation, "_BLOCK", 640)
    with LargestDouble() as seen:
        Standardisation(64).fit([far_vectors(1000)])
    assert seen.largest == 640


def test_standardised_training_vectors_have_mean_0_and_deviation_1():
    standardise = Standardisation(5)
    standardise.fit([vectors()])
    out = standardise(vectors())
    torch.testing.assert_close(out.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_nothing_changes_before_the_fit():
    assert torch.equal(Standardisation(5)(vectors()), vectors())


def test_large_means_cost_no_precision():
    """Float32 sums over many rows of a large mean would be off by far more."""
    table = torch.full((100_000, 1), 1000.0)
    table[::2] += 0.5
    standardise = Standardisation(1)
    standardise.fit([table])
    assert standardise.deviation.item() == pytest.approx(0.25, rel=1e-5)


def test_statistics_of_a_stream_of_tables_are_those_of_the_whole():
    table = far_vectors(1000, 3)
    for a, b in zip(moments(table.split([1, 0, 700, 299])), moments([table]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match=r"^there are no vectors to compute a mean of$"):
        moments([table[:0]])


def test_frames_of_clips_are_standardised_as_vectors_are():
    standardise = Standardisation(5)
    standardise.fit([vectors()])
    torch.testing.assert_close(standardise(vectors().view(2, 32, 5)).view(64, 5), standardise(vectors()))
