"""Whether loss and weights are still finite, checked often enough to lose little and rarely enough to cost nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from utils.cli_utils import UserError
from utils.model_utils.devices import Precision
from utils.model_utils.task_protocol import WEIGHT

# Reading a number from a GPU waits for all that it was given to do; once in so many steps is not felt.
CHECK_EVERY = 50
# fp16 starts at a scale of 2^16, halves it when it skips a step, and doubles it after 2000 steps without a skip. At
# this one even a gradient of 10^10 would have fitted; what is still not finite never will be.
_LEAST_SCALE = 2.0**-20


class DivergedError(UserError):
    """Training has left the finite numbers; another attempt with the same settings would do so again."""


class FiniteCheck:
    """Watches one epoch of training, and averages its losses.

    Between two calls of `check` losses and norms stay where they were computed.

    Args:
        epoch: its number, for messages.
        steps: how many it has.
        precision: with fp16 single steps may fail, which the scaler skips; their losses are left out of the mean.
        clips: whether gradients are clipped, for the advice.
    """

    def __init__(self, epoch: int, steps: int, precision: Precision, clips: bool) -> None:
        self._epoch, self._steps = epoch, steps
        self._precision, self._clips = precision, clips
        self._losses: list[dict[str, Tensor]] = []
        self._norms: dict[int, Tensor] = {}
        self._done = 0  # steps that were checked
        self._totals: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def is_due(self, step: int) -> bool:
        """Whether `check` is to be called after this step, counted from 1."""
        return step % CHECK_EVERY == 0 or step == self._steps

    def add(self, losses: Mapping[str, Tensor], norm: Tensor | None) -> None:
        """Count a step.

        Args:
            losses: by name, each 0-dimensional and without its graph; `loss` is the one that is minimised, and WEIGHT
                is what the step counts in the means.
            norm: of the gradients, 0-dimensional, where it is known.
        """
        if norm is not None:
            self._norms[len(self._losses)] = norm
        self._losses.append(dict(losses))

    def check(self, scale: float) -> dict[str, float]:
        """Make sure that all steps so far were finite.

        Args:
            scale: what fp16 multiplies the loss by; 1 elsewhere.
        Returns:
            The weighted mean of the finite values of each loss, by name; NaN where there is none.
        Raises:
            DivergedError: `loss` or a norm was not; with fp16, the scale has become so small that none will be again.
        """
        # one transfer from the device for the values of all losses
        flat = [loss for losses in self._losses for loss in losses.values()]
        values = iter(torch.stack(flat).tolist() if flat else [])
        norms = torch.stack(list(self._norms.values())).tolist() if self._norms else []
        norm_of = dict(zip(self._norms, norms, strict=True))
        for number, losses in enumerate(self._losses):
            found = dict(zip(losses, values, strict=False))
            self._count(found)
            if self._precision != "fp16":
                self._check_step(self._done + number + 1, found["loss"], norm_of.get(number, 0.0))
        if self._precision == "fp16" and scale < _LEAST_SCALE:
            raise DivergedError(
                f"epoch {self._epoch}: fp16 has skipped step after step, down to a scale of {scale:.1g}: training has "
                f"diverged; {self._advice()}"
            )
        self._done += len(self._losses)
        self._losses.clear()
        self._norms.clear()
        return {name: self._totals[name] / weight if weight else math.nan for name, weight in self._weights.items()}

    def _count(self, losses: Mapping[str, float]) -> None:
        step = losses.get(WEIGHT, 1.0)
        for name, value in losses.items():
            if name == WEIGHT:
                continue
            weight = step if math.isfinite(value) else 0.0
            self._totals[name] = self._totals.get(name, 0.0) + (weight * value if weight else 0.0)
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def _check_step(self, step: int, loss: float, norm: float) -> None:
        for what, value in (("loss", loss), ("norm of the gradient", norm)):
            if not math.isfinite(value):
                raise DivergedError(
                    f"epoch {self._epoch}, step {step} of {self._steps}: the {what} is {value}: training has diverged; "
                    f"{self._advice()}"
                )

    def _advice(self) -> str:
        advice = ["lower optimizer.lr", f"{'lower' if self._clips else 'set'} training.clip_grad_norm"]
        if self._precision != "fp32":
            advice.append("use training.precision=fp32")
        return f"{', '.join(advice[:-1])} or {advice[-1]}"
