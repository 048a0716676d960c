"""Averaged weights (`training.ema`): exponential moving averages, over training's steps, of what a model learns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from utils.cli_utils import ArtefactError
from utils.model_utils.checkpoints import check_fits
from utils.model_utils.frozen_weights import frozen_names, weights_to_save

SECTION = "ema"  # of a checkpoint: what training goes on from, where `model` holds the averages


class AveragedWeights:
    """Averages of the parameters that learn, and of the running statistics of batch normalisation.

    The statistics are averaged like the weights, so that both are of the same steps; recomputing them for the averaged
    weights would take a pass over the training data. Counters, and what does not learn, are those of the model.

    Source: Polyak and Juditsky 1992; the warm-up of the decay is TensorFlow's ExponentialMovingAverage: without it the
    averages of a short training would be of its first weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Begin with the weights as they are.

        Args:
            model: on its device.
            decay: what remains of the averages in a step; in step n at most (1 + n) / (10 + n).
        """
        self._decay = decay
        self._trained = averaged_tensors(model)
        self._averages = {name: tensor.clone() for name, tensor in self._trained.items()}
        self._updates = 0

    def update(self) -> None:
        """Take the weights after a step into the averages."""
        self._updates += 1
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        get_ema_multi_avg_fn(decay)(list(self._averages.values()), list(self._trained.values()), 0)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the model compute with the averages in the block."""
        trained = [tensor.clone() for tensor in self._trained.values()]
        torch._foreach_copy_(list(self._trained.values()), list(self._averages.values()))
        try:
            yield
        finally:
            torch._foreach_copy_(list(self._trained.values()), trained)

    def into(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return the state of a run, in whose `model` the averages take the place of the weights."""
        section = {"updates": self._updates, "trained": self._trained}
        return {**state, "model": {**state["model"], **self._averages}, SECTION: section}

    def load(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go on with the averages of a checkpoint."""
        self._updates = updates
        for name, average in self._averages.items():
            average.copy_(weights[name])


def averaged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a model that are averaged, by name; they share its memory."""
    still = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    saved = weights_to_save(model, frozen_names(model))
    return {name: tensor for name, tensor in saved.items() if name not in still and tensor.is_floating_point()}


def trained_weights(
    model: nn.Module, state: Mapping[str, Any], weights: Mapping[str, Tensor], checkpoint: Path
) -> tuple[dict[str, Tensor], int]:
    """What training goes on from, where a checkpoint's `model` holds averages.

    Args:
        model: of the run.
        state: the checkpoint.
        weights: of its `model`, which fit the run's model.
        checkpoint: its path, for messages.
    Returns:
        Weights by name, and how many steps the averages are of; nothing and 0 where the checkpoint holds no averages.
    Raises:
        ArtefactError: they are missing, or do not fit.
    """
    section = state.get(SECTION)
    if section is None:
        return {}, 0
    found: dict[str, Any] = section if isinstance(section, dict) else {}
    trained, updates = found.get("trained"), found.get("updates")
    if not isinstance(trained, dict) or not all(isinstance(value, Tensor) for value in trained.values()):
        raise _broken(checkpoint, "trained weights by name")
    if not isinstance(updates, int) or updates < 0:
        raise _broken(checkpoint, "number of updates")
    check_fits({name: weights[name] for name in averaged_tensors(model)}, trained, checkpoint)
    return trained, updates


def _broken(checkpoint: Path, missing: str) -> ArtefactError:
    return ArtefactError(f"{checkpoint}: '{SECTION}' has no {missing}; use another checkpoint, or train again")


def say_change(decay: float | None, state: Mapping[str, Any]) -> None:
    """Print a line where a checkpoint was written with averages and the run has none, or the reverse."""
    if decay is not None and SECTION not in state:
        print("training.ema: the checkpoint holds no averaged weights; they start from its weights", flush=True)
    if decay is None and SECTION in state:
        print("training.ema: the checkpoint holds averaged weights; without ema, the trained ones go on", flush=True)
