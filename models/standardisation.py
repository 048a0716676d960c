"""Standardise the dimensions of vectors or frames with the statistics of the training data."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# A dimension is taken for constant if its standard deviation is below this share of the largest one: it is rounding.
_CONSTANT = 1e-6
# Numbers converted to double precision at a time: 32 MB, for a memory-mapped table of any size.
_BLOCK = 2**22


def moments(tables: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the mean and the standard deviation of each dimension in one pass, block by block in double precision.

    Sums are centred on the mean of their own block and then merged: the usual one-pass formula, mean of squares minus
    square of the mean, loses all digits of dimensions whose mean is large beside their deviation.

    Args:
        tables: each (n, E); at least one vector in all.
    Returns:
        (E,) float64 each.
    Raises:
        ValueError: there is no vector.
    Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """
    count = 0
    mean = squares = torch.zeros((), dtype=torch.float64)
    for table in tables:
        for block in table.split(max(1, _BLOCK // max(1, table.shape[1]))):
            block = block.double()
            n = len(block)
            if not n:
                continue
            block_mean = block.mean(dim=0)
            shift = block_mean - mean.to(block.device)
            between = shift.square() * (count * n / (count + n))
            squares = squares.to(block.device) + (block - block_mean).square().sum(dim=0) + between
            mean = mean.to(block.device) + shift * (n / (count + n))
            count += n
    if not count:
        raise ValueError("there are no vectors to compute a mean of")
    return mean, (squares / count).sqrt()


class Standardisation(nn.Module):
    """Standardises each dimension to mean 0 and standard deviation 1, with the statistics of the training data.

    The statistics are buffers, so that they are in the state dict; before `fit` this is the identity.

    Args:
        dim: E of the vectors.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    def fit(self, tables: Iterable[Tensor]) -> None:
        """Compute the statistics of the vectors of all (n, E) tables; constant dimensions are only centred."""
        mean, deviation = moments(tables)
        constant = deviation <= _CONSTANT * deviation.max()
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.masked_fill(constant, 1.0))

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardise (..., E) vectors."""
        return (vectors - self.mean) / self.deviation
