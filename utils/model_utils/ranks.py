"""The processes that train one model together: which one this is, and what they exchange.

They are the ranks of torch.distributed's default process group. Without one there is a single rank, and every function
here gives back what it was given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

T = TypeVar("T")
R = TypeVar("R")

# Batches of an evaluation that a rank computes before all exchange what they have: few exchanges, little memory.
_EXCHANGED_TOGETHER = 8


def ranks() -> int:
    """Return how many processes train this model together."""
    return dist.get_world_size() if _is_group() else 1


def rank() -> int:
    """Return which of them this process is, from 0."""
    return dist.get_rank() if _is_group() else 0


def _is_group() -> bool:
    return dist.is_available() and dist.is_initialized()


def sum_over_ranks(values: Tensor) -> Tensor:
    """Add up a tensor over all ranks; the gradient of each rank's share is the sum of all ranks' gradients.

    Args:
        values: of the same shape and dtype on every rank.
    Returns:
        The same shape; a new tensor where there is more than one rank.
    """
    summed: Tensor = _Sum.apply(values) if ranks() > 1 else values
    return summed


def gather_rows(rows: Tensor, counts: list[int]) -> Tensor:
    """Join the rows of all ranks; the gradient of a row is the sum of what all ranks computed with it.

    Args:
        rows: (B, ...), with B = counts[rank()].
        counts: rows of each rank, see `row_counts`.
    Returns:
        (sum of B, ...), in the order of the ranks.
    """
    joined: Tensor = _Gather.apply(rows, counts) if ranks() > 1 else rows
    return joined


def row_counts(rows: Tensor) -> list[int]:
    """How many rows each rank has."""
    if ranks() == 1:
        return [len(rows)]
    own = torch.tensor([len(rows)], device=rows.device)
    found = [torch.empty_like(own) for _ in range(ranks())]
    dist.all_gather(found, own)
    return [int(count) for count in torch.cat(found).tolist()]


class _Sum(torch.autograd.Function):
    """The sum over ranks. torch.distributed.nn has one, which torch 2.13 declares deprecated without a public heir."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        summed = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        del ctx
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed


class _Gather(torch.autograd.Function):
    """The rows of all ranks, which may have different numbers of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.start, ctx.count = sum(counts[: rank()]), len(rows)
        padded = rows.new_zeros(max(counts), *rows.shape[1:])  # the backends exchange equal shapes alone
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        return torch.cat([one[:count] for one, count in zip(found, counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed[ctx.start : ctx.start + ctx.count], None


def of_every_rank(value: T) -> list[T]:
    """Return the value of each rank, in their order; it is sent as a pickle."""
    if ranks() == 1:
        return [value]
    found: list[Any] = [None] * ranks()
    dist.all_gather_object(found, value)
    return found


def of_first_rank(value: T) -> T:
    """Return the first rank's value on every rank."""
    return of_every_rank(value)[0]


def of_this_rank(batches: Iterable[T]) -> Iterator[T]:
    """Take the batches of this rank from those of an evaluation: rank(), rank() + ranks(), ..."""
    return itertools.islice(batches, rank(), None, ranks())


def share_out(batches: Iterable[T], compute: Callable[[T], R]) -> Iterator[R]:
    """Compute the batches of an evaluation, each on one rank, and yield the results of all on every rank.

    Results come in the order of the batches, so that what is made of them is that of a single process.

    Args:
        batches: those of this rank, as `of_this_rank` takes them.
        compute: what is to be done with one; a tuple of tensors and plain values, which other ranks get on the CPU.
    """
    if ranks() == 1:
        yield from map(compute, batches)
        return
    own = iter(batches)
    while True:
        found = of_every_rank([_on_cpu(compute(batch)) for batch in itertools.islice(own, _EXCHANGED_TOGETHER)])
        for turn in itertools.zip_longest(*found, fillvalue=_NOTHING):
            yield from (result for result in turn if result is not _NOTHING)
        if not found[0]:  # the first rank has at least as many batches as any other
            return


_NOTHING: Any = object()


def _on_cpu(result: Any) -> Any:
    return tuple(value.cpu() if isinstance(value, Tensor) else value for value in result)
