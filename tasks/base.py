"""What every system has in common: the Task protocol and the sections that all runs share."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

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
    training: TrainingSpec = TrainingSpec()
    search: dict[str, Distribution] = Field(default_factory=dict)
    ray: RaySpec = RaySpec()

    @property
    def folder(self) -> Path:
        """runs/<experiment>."""
        return self.output_root / self.experiment
