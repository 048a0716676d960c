"""The YAML blocks on trials: the distributions of `search:`, and `ray:`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from utils.config_utils import Spec
from utils.model_utils import TrainingSpec

_RANGES = {"uniform": 2, "loguniform": 2, "randint": 2, "quniform": 3, "qloguniform": 3, "qrandint": 3}
_LISTS = ("grid", "choice")


class Distribution(Spec):
    """One line of `search:`, such as {loguniform: [1.0e-4, 1.0e-2]} or {choice: [16, 32]}."""

    grid: list[Any] | None = Field(None, min_length=1)
    choice: list[Any] | None = Field(None, min_length=1)
    uniform: tuple[float, float] | None = None
    loguniform: tuple[float, float] | None = None
    randint: tuple[int, int] | None = None
    quniform: tuple[float, float, float] | None = None
    qloguniform: tuple[float, float, float] | None = None
    qrandint: tuple[int, int, int] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Distribution:
        name, values = self.only()
        if name in _RANGES and not values[0] < values[1]:
            raise ValueError(f"{name} needs low < high")
        if name in ("loguniform", "qloguniform") and values[0] <= 0:
            raise ValueError(f"{name} needs low > 0")
        if _RANGES.get(name) == 3 and (values[2] <= 0 or not all(_is_multiple(v, values[2]) for v in values[:2])):
            raise ValueError(f"{name} needs [low, high, step], with low and high multiples of step > 0")
        return self

    def only(self) -> tuple[str, list[Any]]:
        """The name of the distribution and its values."""
        given = {name: list(values) for name, values in self if values is not None}
        if len(given) != 1:
            raise ValueError(f"needs one distribution, found {len(given)}; choices: {', '.join((*_LISTS, *_RANGES))}")
        return next(iter(given.items()))

    def extremes(self) -> list[Any]:
        """Values that a Spec must accept: each one of a list, both ends of a range, and special values between them."""
        name, values = self.only()
        if name in _LISTS:
            return values
        low, high, step = (*values, None)[:3]
        if name == "randint" or (name == "qrandint" and step == 1):  # these never draw `high`
            return [low, high - 1]
        if step is not None:
            return [low, high, low + step]
        return [low, high, low + (high - low) / math.e]  # a number with a fraction: a key may take whole ones alone


def _is_multiple(value: float, step: float) -> bool:
    return math.isclose(value / step, round(value / step), abs_tol=1e-9)


class PlateauStopperSpec(Spec):
    """`ray.stopper`: stop a trial whose metric has stopped moving."""

    watch: str | None = None  # a metric of validation, such as val_loss; null: training.select_on
    std: float = Field(0.001, ge=0)
    num_results: int = Field(10, ge=2)
    grace_epochs: int = Field(10, ge=1)


class RaySpec(Spec):
    """The `ray:` block: how many trials, which are stopped early, and where they run."""

    num_samples: int = Field(1, ge=1, le=100_000)
    search_alg: Literal["random", "optuna"] = "random"  # optuna: each trial from what earlier ones have reported
    scheduler: Literal["asha", "fifo"] = "asha"
    grace_epochs: int = Field(2, ge=1)  # asha stops no trial before
    reduction_factor: int = Field(3, ge=2)  # asha goes on with one trial in so many
    stopper: PlateauStopperSpec | None = None
    workers_per_trial: int = Field(1, ge=1, le=4096)  # ranks: processes that share out each batch of a trial
    cpus_per_trial: int = Field(1, ge=1)  # of each rank
    gpus_per_trial: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"  # of each rank; auto: see `with_gpus`
    max_failures: int = Field(2, ge=0)  # how often a trial goes on whose process, rank or machine was lost
    max_concurrent: int | None = Field(None, ge=1)
    address: str | None = None  # of a running cluster; null starts one for this run alone
    keep_checkpoints: int = Field(2, ge=1)

    @field_validator("address", mode="before")
    @classmethod
    def _of_a_cluster(cls, value: Any) -> Any:
        # ray://HOST:PORT is that of Ray Client, which has neither Tune's signals nor a job's settings
        if value is None or (isinstance(value, str) and "://" not in value):
            return value
        raise ValueError("expected HOST:PORT as `ray start --head` prints it, auto, or null")

    @model_validator(mode="after")
    def _whole_gpus(self) -> RaySpec:
        gpus = self.gpus
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"gpus_per_trial: {gpus:g} GPUs; Ray shares out parts of one, or whole ones")
        if self.workers_per_trial > 1 and gpus not in (0, 1):
            raise ValueError(
                f"gpus_per_trial: {gpus:g}, but a rank of workers_per_trial: {self.workers_per_trial} computes on one "
                "GPU of its own; use auto, 1 or 0"
            )
        return self

    @property
    def gpus(self) -> float:
        """GPUs of a rank as a number; 0 for an `auto` that `with_gpus` has not seen."""
        return 0.0 if self.gpus_per_trial == "auto" else self.gpus_per_trial


class Experiment(NamedTuple):
    """What all trials of an experiment share."""

    run: dict[str, Any]  # the checked run, as plain values
    distributions: Mapping[str, Distribution]
    ray: RaySpec
    training: TrainingSpec
    folder: Path  # runs/<experiment>
    data: str = ""  # a digest of what is trained and chosen on
    trained_on: Collection[str] = ()  # what each recording is that is trained on, and in no other split
    revisions: Mapping[str, str] = {}  # audio, text -> which state of a frozen encoder made the vectors
    checkpoint_bytes: int = 0  # of one checkpoint
    paths: Sequence[Path] = ()  # absolute; what trials read, besides the folder of the experiment
    chance: Mapping[str, float] = {}  # metric of validation -> its value for random outputs, where that is known
