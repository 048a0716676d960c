"""What every system has in common: the Task protocol and the sections that all runs share."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from utils.config_utils import Spec, UserPath
from utils.data_utils.spec import PlainName
from utils.model_utils import LRSchedulerSpec, OptimizerSpec, Task, TrainingSpec
from utils.tune_utils import Distribution, RaySpec

__all__ = ["RunSpec", "Task"]


class RunSpec(Spec):
    """The sections that every run has; each system adds its own (`data:`, `model:`, `criterion:`)."""

    task: str
    experiment: PlainName
    output_root: UserPath = Path("runs")
    optimizer: OptimizerSpec
    lr_scheduler: LRSchedulerSpec
    training: TrainingSpec  # each system's own, which says how its metrics are read
    search: dict[str, Distribution] = Field(default_factory=dict)
    ray: RaySpec = RaySpec()

    @model_validator(mode="after")
    def _watched_metrics_are_measured(self) -> Self:
        watched = {"lr_scheduler.watch": self.lr_scheduler.watch}
        if self.ray.stopper is not None:
            watched["ray.stopper.watch"] = self.ray.stopper.watch
        for key, metric in watched.items():
            if metric is not None and metric not in self.training.higher_is_better:
                choices = ", ".join(self.training.higher_is_better)
                raise ValueError(f"{key}: unknown metric '{metric}'; choices: {choices}, or null: training.select_on")
        return self

    @property
    def folder(self) -> Path:
        """runs/<experiment>."""
        return self.output_root / self.experiment
