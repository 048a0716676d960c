"""The five methods that the training loop calls on a task; it does not depend on any task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

# Key of `Task.losses`; without it every batch counts the same.
WEIGHT = "weight"


class Loader(Protocol):
    """Training batches, drawn anew for every epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""

    def __len__(self) -> int:
        """Batches an epoch."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield batches: dicts of tensors with named keys."""


@runtime_checkable
class DealingLoader(Loader, Protocol):
    """Training batches that can be shared out to ranks and cut in parts."""

    def deal(self, rank: int, ranks: int, parts: int) -> None:
        """Yield, of every batch, the share of one rank, cut in parts that come one after the other.

        `len` goes on counting whole batches.
        """


class Task(Protocol):
    """Which model, data, criterion and metric belong together."""

    def model(self) -> nn.Module:
        """Everything that learns or is saved: networks and criterion; the same object at every call."""

    def loaders(self) -> Mapping[str, Loader]:
        """The loader of `train`."""

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch's losses, 0-dimensional, with the same names every time.

        `loss` is minimised; each one is averaged over the epoch and reported as `train_<name>`. An entry WEIGHT is no
        loss: it says how many items, such as tokens, the others are means over, and an epoch's mean weights them so.
        Without it they are means over the rows of the batch, and every batch of an epoch counts the same. A batch that
        is cut in parts, or shared out to ranks, has the mean over the items of all.
        """

    def outputs(self, split: str) -> Any:
        """What the model makes of a split (train, val or eval), each item once, in eval mode."""

    def metrics(self, outputs: Any) -> dict[str, float]:
        """The numbers to report of such outputs."""


@runtime_checkable
class ContrastiveTask(Task, Protocol):
    """A task whose loss compares the items of a batch with each other, so that no mean over parts of it is the loss.

    Its `losses(batch)` are `contrast(embed(batch))`.
    """

    def embed(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute what `contrast` compares, by name: floats that depend on the model, and ids; a row for each item."""

    def contrast(self, embedded: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses, each a mean over the rows; of several ranks, this one's rows against those of all."""
