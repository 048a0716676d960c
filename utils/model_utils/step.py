"""One step of training: a batch's losses and gradients, also in parts and on several ranks, then the optimizer."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from utils.model_utils.random_states import random_state, set_random_state
from utils.model_utils.ranks import ranks, sum_over_ranks
from utils.model_utils.synchronised import synchronise_batch_norm
from utils.model_utils.task_protocol import WEIGHT, ContrastiveTask, Task

Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


# Key of what `BatchLosses` gives: how many items of the batch its means are over, where the task gives no WEIGHT.
_ROWS = "rows"


class BatchLosses(nn.Module):
    """The losses of a batch, as a module: DistributedDataParallel averages gradients of what is called through it.

    Args:
        task: whose losses; its model is the module's only child.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = task.model()
        self._task = task

    def forward(self, batch: Batch, gradients: Batch | None = None) -> Losses:
        """Compute the losses of a batch, or hand gradients on to what embeds it.

        Args:
            batch: see `Task.losses`.
            gradients: of a contrastive loss, with respect to the embeddings of this batch, by name, and to parameters
                of the loss itself, by the name of the parameter in the model.
        Returns:
            Name -> 0-dimensional loss, and how many items they are means over. With `gradients`, `loss` is the sum of
            embeddings times their gradients, which has the same gradient as the loss that these are of.
        """
        if gradients is not None:
            assert isinstance(self._task, ContrastiveTask)
            found = {**dict(self.network.named_parameters()), **self._task.embed(batch)}
            return {"loss": torch.stack([(found[name] * one).sum() for name, one in gradients.items()]).sum()}
        if not isinstance(self._task, ContrastiveTask):
            return {_ROWS: _rows(batch), **self._task.losses(batch)}
        embedded = self._task.embed(batch)
        return {_ROWS: _rows(embedded), **self._task.contrast(embedded)}


class GradientStep:
    """Computes the gradients of a batch: as a whole, or in parts that come one after the other.

    What is minimised is the loss of the whole batch, on all ranks together:

    - of a contrastive loss all embeddings are compared with each other. In parts, that is done as in GradCache: all
      parts are embedded without a graph, the loss gives the gradients of the embeddings, and each part is embedded
      again, with the same dropout, to hand its gradients on to the encoder. Memory is that of one part.
    - any other loss is a mean over items or tokens, and the parts' are averaged by how many each has.

    Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache).

    Args:
        task: whose losses.
        scaler: of fp16; multiplies the loss.
        autocast: the context of forward passes, opened for each one.
    """

    def __init__(
        self, task: Task, scaler: torch.amp.GradScaler, autocast: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._task, self._scaler, self._autocast = task, scaler, autocast
        self._losses: nn.Module = BatchLosses(task)
        self._parameters = {name: p for name, p in task.model().named_parameters() if p.requires_grad}
        if ranks() > 1 and self._parameters:
            synchronise_batch_norm(task.model())
            # Which parameters a step uses may change: layer drop, or embeddings that only masking needs. Buffers are
            # the same on all ranks, since what updates them is computed over all.
            self._losses = DistributedDataParallel(
                self._losses, find_unused_parameters=True, forward_sync_buffers=False, gradient_as_bucket_view=True
            )

    def __call__(self, parts: Sequence[Batch]) -> Losses:
        """Add the gradients of a batch to those of the parameters.

        Args:
            parts: of this rank's share of the batch, at least one.
        Returns:
            The losses of the whole batch, detached, and WEIGHT where the task gives it.
        """
        if len(parts) == 1 and ranks() == 1:
            with self._autocast():
                losses = self._task.losses(parts[0])
            self._backward(losses["loss"])
            return {name: loss.detach() for name, loss in losses.items()}
        if len(parts) > 1 and isinstance(self._task, ContrastiveTask):
            return self._contrastive(self._task, parts)
        return self._averaged(parts)

    def _backward(self, loss: Tensor) -> None:
        if self._parameters:  # none: a model in closed form, whose losses are measured
            self._scaler.scale(loss).backward()

    def _averaged(self, parts: Sequence[Batch]) -> Losses:
        """The mean over the items or tokens of all parts and ranks."""
        total, expected = _Total(), None
        for number, part in enumerate(parts):
            with self._syncing(number == len(parts) - 1):
                with self._autocast():
                    losses = self._losses(part)
                weight = total.add(losses)
                if expected is None:  # how many items there are in all is known after the last part
                    expected = sum_over_ranks(weight) * len(parts)
                self._backward(losses["loss"] * (weight / expected))
        assert expected is not None
        means, items = total.over_ranks()
        # DistributedDataParallel has averaged what is a sum over ranks
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, expected * ranks() / items)
        return means

    def _contrastive(self, task: ContrastiveTask, parts: Sequence[Batch]) -> Losses:
        """The loss over all pairs of all parts and ranks."""
        states, embedded = [], []
        with torch.no_grad(), self._autocast(), _unchanged_statistics(task.model()):
            for part in parts:
                states.append(random_state())
                embedded.append(_leaves(task.embed(part)))
        whole = {name: torch.cat([one[name] for one in embedded]) for name in embedded[0]}
        with self._autocast():
            losses = {_ROWS: _rows(whole), **task.contrast(whole)}
        total = _Total()
        weight = total.add(losses)
        means, items = total.over_ranks()
        if not self._parameters:
            return means
        self._backward(losses["loss"] * (weight * ranks() / items))
        own = self._gradients_of_the_loss()
        for number, (part, state) in enumerate(zip(parts, states, strict=True)):
            is_last = number == len(parts) - 1
            gradients = {name: leaf.grad for name, leaf in embedded[number].items() if leaf.grad is not None}
            set_random_state(state)
            with self._syncing(is_last):
                with self._autocast():
                    losses = self._losses(part, gradients | own if is_last else gradients)
                if losses["loss"].requires_grad:  # else only the loss has parameters that learn
                    losses["loss"].backward()
        return means

    def _gradients_of_the_loss(self) -> dict[str, Tensor]:
        """Take the gradients that the loss itself has given to parameters, so that they are averaged over ranks too."""
        if ranks() == 1:
            return {}
        found = {name: p.grad for name, p in self._parameters.items() if p.grad is not None}
        for name in found:
            self._parameters[name].grad = None
        return found

    def _syncing(self, wanted: bool) -> contextlib.AbstractContextManager[None]:
        """Average the gradients over ranks in the backward pass of the block, or let them add up."""
        if wanted or not isinstance(self._losses, DistributedDataParallel):
            return contextlib.nullcontext()
        return self._losses.no_sync()


def batched(batches: Iterator[Batch], parts: int) -> Iterator[Sequence[Batch]]:
    """Take the parts of a batch together, as a loader yields them one after the other."""
    while whole := tuple(itertools.islice(batches, parts)):
        yield whole


class _Total:
    """The sum of losses over parts, each times how many items it is a mean over."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums: Tensor | None = None
        self._reports_weight = False

    def add(self, losses: Losses) -> Tensor:
        """Add a part; returns how many items it has, 0-dimensional."""
        weight = losses.get(WEIGHT, losses[_ROWS]).detach().float().to(losses["loss"].device)
        self._reports_weight = WEIGHT in losses
        self._names = [name for name in losses if name not in (WEIGHT, _ROWS)]
        sums = torch.stack([weight, *(weight * losses[name].detach().float() for name in self._names)])
        self._sums = sums if self._sums is None else self._sums + sums
        return weight

    def over_ranks(self) -> tuple[Losses, Tensor]:
        """Return the mean of each loss over all items of all ranks, and how many those are."""
        assert self._sums is not None
        items, *sums = sum_over_ranks(self._sums).unbind()
        means = {name: value / items for name, value in zip(self._names, sums, strict=True)}
        return means | ({WEIGHT: items} if self._reports_weight else {}), items


def _rows(batch: Batch) -> Tensor:
    return torch.tensor(float(len(next(iter(batch.values())))))


def _leaves(embedded: Batch) -> Batch:
    return {name: one.requires_grad_(one.is_floating_point()) for name, one in embedded.items()}


@contextlib.contextmanager
def _unchanged_statistics(model: nn.Module) -> Iterator[None]:
    """Put the running statistics of batch normalisation back after the block: each part counts once."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    held = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    yield
    for norm, values in zip(norms, held, strict=True):
        for buffer, value in zip(norm.buffers(), values, strict=True):
            buffer.copy_(value)
