"""The `training:` block, and which metrics a system can choose its checkpoints by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator

from utils.config_utils import Spec
from utils.model_utils.arithmetic import MatmulPrecision
from utils.model_utils.compiling import Compile
from utils.model_utils.devices import DeviceName, Precision

Mode = Literal["min", "max"]


class TrainingSpec(Spec):
    """The `training:` block.

    A system derives its own, with its metrics, its default of `select_on`, and what else its loader needs. What is
    chosen on, watched by a schedule or by early stopping, ranked by Ray and by stage 3, is one of those metrics, and
    takes from there whether higher is better.
    """

    epochs: int = Field(20, ge=1, le=100_000)
    batch_size: int = Field(32, ge=1, le=65_536)  # items, as the system's loader counts them
    accumulate: int = Field(1, ge=1, le=65_536)  # parts that a batch is computed in, so that memory is that of one
    device: DeviceName = "auto"
    precision: Precision = "fp32"
    matmul_precision: MatmulPrecision = "high"  # of products of float32 on a GPU
    deterministic: bool = False  # on a GPU too, the same run twice is equal to the bit
    ema: float | None = Field(None, gt=0, lt=1)  # decay of averaged weights, which are validated and kept
    compile: Compile = "auto"  # torch.compile; auto: on a GPU, networks of 10 million parameters and more
    seed: int = Field(0, ge=0, lt=2**63)
    clip_grad_norm: float | None = Field(1.0, gt=0)
    select_on: str  # one of higher_is_better
    early_stop_patience: int | None = Field(None, ge=1)  # epochs without a better early_stop_watch
    early_stop_watch: str | None = None  # one of higher_is_better; null: select_on
    early_stop_threshold: float = Field(0.0, ge=0)  # better by more than this, in the metric's own unit
    extra_passes: tuple[Literal["train", "eval"], ...] = ()  # splits to measure after every epoch, besides val

    # A metric of validation that a run can be chosen by -> whether higher is better.
    higher_is_better: ClassVar[Mapping[str, bool]] = {}
    # Metrics that the line of an epoch shows beside select_on, where they were measured: of validation, or `train_` and
    # the name of one.
    also_printed: ClassVar[Sequence[str]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # here, where a system is written, and not when its first training has ended
        unknown = [one for one in cls.also_printed if one.removeprefix("train_") not in cls.higher_is_better]
        if unknown:
            raise TypeError(f"{cls.__name__}.also_printed: higher_is_better does not name {', '.join(unknown)}")

    @field_validator("select_on", "early_stop_watch")
    @classmethod
    def _is_measured(cls, metric: str | None) -> str | None:
        if metric is not None and metric not in cls.higher_is_better:
            raise ValueError(f"unknown metric; choices: {', '.join(cls.higher_is_better)}")
        return metric

    @property
    def mode(self) -> Mode:
        """Whether lower or higher is better for select_on."""
        return self.mode_of(self.select_on)

    @property
    def printed(self) -> list[str]:
        """The losses and metrics in the line of an epoch, where they were measured."""
        return list(dict.fromkeys(["train_loss", self.select_on, *self.also_printed]))

    def mode_of(self, metric: str) -> Mode:
        """Whether lower or higher is better for one of `higher_is_better`, or for a `train_` mean of such a metric."""
        if metric == "train_loss":
            return "min"
        return "max" if self.higher_is_better[metric.removeprefix("train_")] else "min"


class Selection(NamedTuple):
    """The metric that checkpoints are chosen by."""

    metric: str
    mode: Mode

    def rank(self, metrics: Mapping[str, float]) -> float:
        """A number that is smaller the better an epoch is; infinite where the metric is NaN or was not measured."""
        value = metrics.get(self.metric, math.nan)
        if math.isnan(value):
            return math.inf
        return value if self.mode == "min" else -value


class Best:
    """The best value of a metric so far, and its epoch.

    Args:
        mode: whether lower or higher is better.
        threshold: a value counts as better when it is so by more than this.
    """

    def __init__(self, mode: Mode, threshold: float = 0.0) -> None:
        self.value: float | None = None
        self.epoch = 0
        self._mode, self._threshold = mode, threshold

    def update(self, value: float, epoch: int) -> None:
        """Take the value of an epoch; NaN is never the best."""
        if self._is_better(value):
            self.value, self.epoch = value, epoch

    def _is_better(self, value: float) -> bool:
        if self.value is None:
            return not math.isnan(value)
        gain = self.value - value if self._mode == "min" else value - self.value
        return gain > self._threshold

    def state_dict(self) -> dict[str, Any]:
        """The state to save."""
        return {"value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.value, self.epoch = state["value"], state["epoch"]
