"""Optimizers and learning-rate schedules by name, each section of the YAML beside what it builds."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from utils.config_utils import Spec
from utils.model_utils.parameter_groups import GroupSpec, NamedParameters, parameter_groups


class AdamSpec(Spec):
    """`optimizer: {name: Adam}`."""

    moments: ClassVar[int] = 2  # tensors of state for each parameter

    name: Literal["Adam"]
    lr: float = Field(1e-3, gt=0, le=10)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0, le=10)
    groups: dict[str, GroupSpec] = Field(default_factory=dict)  # by the beginning of parameters' names

    def build(self, parameters: NamedParameters, *, fused: bool = False) -> Optimizer:
        """Build the optimizer of the trainable parameters; see `parameter_groups`.

        Args:
            parameters: all of the model by name.
            fused: update all of them in one kernel, which a GPU gains by; a CPU would round otherwise.
        """
        groups = parameter_groups(parameters, self.weight_decay, self.groups)
        return Adam(groups, lr=self.lr, betas=self.betas, fused=fused or None)


class AdamWSpec(Spec):
    """`optimizer: {name: AdamW}`."""

    moments: ClassVar[int] = 2  # tensors of state for each parameter

    name: Literal["AdamW"]
    lr: float = Field(1e-3, gt=0, le=10)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: float = Field(1e-2, ge=0, le=10)
    groups: dict[str, GroupSpec] = Field(default_factory=dict)  # by the beginning of parameters' names

    def build(self, parameters: NamedParameters, *, fused: bool = False) -> Optimizer:
        """Build the optimizer of the trainable parameters; see `parameter_groups`.

        Args:
            parameters: all of the model by name.
            fused: update all of them in one kernel, which a GPU gains by; a CPU would round otherwise.
        """
        groups = parameter_groups(parameters, self.weight_decay, self.groups)
        return AdamW(groups, lr=self.lr, betas=self.betas, fused=fused or None)


class SGDSpec(Spec):
    """`optimizer: {name: SGD}`."""

    name: Literal["SGD"]
    lr: float = Field(1e-2, gt=0, le=100)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(0.0, ge=0, le=10)
    groups: dict[str, GroupSpec] = Field(default_factory=dict)  # by the beginning of parameters' names

    @property
    def moments(self) -> int:
        """Tensors of state for each parameter."""
        return 1 if self.momentum else 0

    def build(self, parameters: NamedParameters, *, fused: bool = False) -> Optimizer:
        """Build the optimizer of the trainable parameters; see `parameter_groups`.

        Args:
            parameters: all of the model by name.
            fused: update all of them in one kernel, which a GPU gains by; a CPU would round otherwise.
        """
        groups = parameter_groups(parameters, self.weight_decay, self.groups)
        return SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=fused or None)


OptimizerSpec = Annotated[AdamSpec | AdamWSpec | SGDSpec, Field(discriminator="name")]


def computed_here(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """The state of a run whose optimizer is fused where this one is: a checkpoint of a CPU goes on on a GPU.

    Args:
        state: of a checkpoint, whose `optimizer` may be anything.
        optimizer: of this run.
    """
    saved = state.get("optimizer")
    if not isinstance(saved, dict):
        return state  # refused later
    groups = saved.get("param_groups")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return state
    fused = optimizer.param_groups[0]["fused"]
    groups = [{**group, "fused": fused} if "fused" in group else group for group in groups]
    return {**state, "optimizer": {**saved, "param_groups": groups}}


class Schedule:
    """A learning-rate schedule as the loop drives it: after every step, and after every epoch."""

    def __init__(self, after_step: LambdaLR | None = None, after_epoch: ReduceLROnPlateau | None = None) -> None:
        self._after_step = after_step
        self._after_epoch = after_epoch

    def step(self) -> None:
        """Update after an optimizer step."""
        if self._after_step is not None:
            self._after_step.step()

    def epoch(self, value: float) -> None:
        """Update after an epoch; `value` is the watched metric."""
        if self._after_epoch is not None:
            self._after_epoch.step(value)

    def follow(self) -> bool:
        """Set the learning rates to the schedule's value at this step, where the schedule covers all steps.

        Call it after loading a state of another number of steps. Returns whether there is such a schedule.
        """
        plan = self._after_step
        if plan is None:
            return False
        for group, base, factor in zip(plan.optimizer.param_groups, plan.base_lrs, plan.lr_lambdas, strict=True):
            group["lr"] = base * factor(plan.last_epoch)
        plan._last_lr = [group["lr"] for group in plan.optimizer.param_groups]
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save."""
        held = self._held()
        return {} if held is None else held.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        held = self._held()
        if held is not None:
            held.load_state_dict(state)

    def _held(self) -> LambdaLR | ReduceLROnPlateau | None:
        return self._after_step or self._after_epoch


class ReduceLROnPlateauSpec(Spec):
    """`lr_scheduler: {name: ReduceLROnPlateau}`: lowers the learning rate when a metric has stopped getting better."""

    name: Literal["ReduceLROnPlateau"]
    watch: str | None = None  # a metric of validation, such as val_loss; null: training.select_on
    factor: float = Field(0.1, gt=0, lt=1)  # what the learning rate is multiplied by
    patience: int = Field(5, ge=0)  # epochs without a better value that are waited for
    threshold: float = Field(1e-4, ge=0)  # better by more than this, in the metric's own unit
    min_lr: float = Field(1e-6, ge=0)

    def build(self, optimizer: Optimizer, steps_per_epoch: int, epochs: int, mode: Literal["min", "max"]) -> Schedule:
        """Build the schedule, which does not depend on the number of steps."""
        del steps_per_epoch, epochs
        rates = [group["lr"] for group in optimizer.param_groups]
        plateau = ReduceLROnPlateau(
            optimizer,
            mode=mode,
            factor=self.factor,
            patience=self.patience,
            threshold=self.threshold,
            threshold_mode="abs",
            min_lr=[self.min_lr * (rate / optimizer.defaults["lr"]) for rate in rates],  # ratios stay at the floor too
        )
        return Schedule(after_epoch=plateau)


class WarmupCosineSpec(Spec):
    """`lr_scheduler: {name: WarmupCosine}`: linear from 0 to lr, then a half cosine down to final_factor * lr."""

    watch: ClassVar[None] = None

    name: Literal["WarmupCosine"]
    warmup_epochs: float = Field(1.0, ge=0)
    final_factor: float = Field(0.0, ge=0, le=1)

    def build(self, optimizer: Optimizer, steps_per_epoch: int, epochs: int, mode: Literal["min", "max"]) -> Schedule:
        """Build the schedule over epochs * steps_per_epoch steps."""
        del mode
        total = max(1, steps_per_epoch * epochs)
        warmup = min(total, round(self.warmup_epochs * steps_per_epoch))
        return Schedule(after_step=LambdaLR(optimizer, lambda step: self.factor(step, warmup, total)))

    def factor(self, step: int, warmup: int, total: int) -> float:
        """Return the factor of lr at a step, counted from 0."""
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return self.final_factor + (1 - self.final_factor) * 0.5 * (1 + math.cos(math.pi * progress))


class ConstantSpec(Spec):
    """`lr_scheduler: {name: none}`."""

    watch: ClassVar[None] = None

    name: Literal["none"]

    def build(self, optimizer: Optimizer, steps_per_epoch: int, epochs: int, mode: Literal["min", "max"]) -> Schedule:
        """Build a schedule that changes nothing."""
        del optimizer, steps_per_epoch, epochs, mode
        return Schedule()


LRSchedulerSpec = Annotated[ReduceLROnPlateauSpec | WarmupCosineSpec | ConstantSpec, Field(discriminator="name")]
