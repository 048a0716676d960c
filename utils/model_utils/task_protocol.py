"""The five methods that the training loop calls on a task; it does not depend on any task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

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
        """

    def outputs(self, split: str) -> Any:
        """What the model makes of a split (train, val or eval), each item once, in eval mode."""

    def metrics(self, outputs: Any) -> dict[str, float]:
        """The numbers to report of such outputs."""
