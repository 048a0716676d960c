"""Ridge regression in closed form, accumulated over a stream."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def ridge_regression(pairs: Iterable[tuple[Tensor, Tensor]], ridge: float) -> tuple[Tensor, Tensor]:
    """Compute the linear map, with a bias, of least squared error plus a penalty of its weights; one pass in float64.

    Minimises mean |y - W x - b|^2 + ridge * v |W|^2, where v is the mean variance of a dimension of x: the choice of
    `ridge` does not depend on the scale of x or on the number of pairs. Memory: (D + H) D numbers.

    Args:
        pairs: batches of (n, D) inputs and (n, H) targets; at least one pair in all.
        ridge: above 0.
    Returns:
        (H, D) weight and (H,) bias, float64.
    Raises:
        ValueError: there is no pair.
    """
    count = 0
    sums: list[Tensor] = []  # of x, y, x x^T, x y^T
    for inputs, targets in pairs:
        x, y = inputs.double(), targets.to(inputs.device).double()
        batch = [x.sum(0), y.sum(0), x.T @ x, x.T @ y]
        sums = [total + one for total, one in zip(sums, batch, strict=True)] if count else batch
        count += len(x)
    if not count:
        raise ValueError("there are no clips to compute the least-squares map from")
    x_mean, y_mean, xx, xy = (total / count for total in sums)
    covariance = xx - x_mean.outer(x_mean)
    # inputs that are all the same leave only the bias; the floor keeps the system solvable
    penalty = ridge * covariance.diagonal().mean().clamp(min=1e-30)
    covariance.diagonal().add_(penalty)
    weight = torch.linalg.solve(covariance, xy - x_mean.outer(y_mean), left=True).T
    return weight, y_mean - weight @ x_mean
