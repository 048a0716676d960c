"""The YAML blocks on trials: the distributions of `search:`, and `ray:`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from utils.cli_utils import UserError
from utils.config_utils import Spec
from utils.model_utils import TrainingSpec
from utils.model_utils.devices import DeviceName

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
    scheduler: Literal["asha", "fifo"] = "asha"
    grace_epochs: int = Field(2, ge=1)  # asha stops no trial before
    reduction_factor: int = Field(3, ge=2)  # asha goes on with one trial in so many
    stopper: PlateauStopperSpec | None = None
    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float = Field(0, ge=0)
    max_concurrent: int | None = Field(None, ge=1)
    address: str | None = None  # of a running cluster; null starts one for this run alone
    keep_checkpoints: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _whole_gpus(self) -> RaySpec:
        if self.gpus_per_trial > 1 and self.gpus_per_trial != int(self.gpus_per_trial):
            raise ValueError(
                f"gpus_per_trial: {self.gpus_per_trial:g} GPUs; Ray shares out parts of one, or whole ones"
            )
        return self


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
    chance: Mapping[str, float] = {}  # metric of validation -> its value for random outputs, where that is known


class Machine(NamedTuple):
    """What one machine offers to trials."""

    cpus: float
    gpus: float


def check_resources(spec: RaySpec, machines: Sequence[Machine]) -> None:
    """Make sure that one trial fits on one of the machines; Ray itself would wait for ever.

    Raises:
        UserError: it does not.
    """
    where = "" if len(machines) == 1 else f" on any one of {len(machines)} machines"
    for key, wanted, there in (
        ("cpus", spec.cpus_per_trial, max((m.cpus for m in machines), default=0)),
        ("gpus", spec.gpus_per_trial, max((m.gpus for m in machines), default=0)),
    ):
        if wanted > there:
            raise UserError(
                f"ray.{key}_per_trial: {wanted:g}, but there are {there:g}{where}; lower it, or join a cluster"
            )
    if not any(m.cpus >= spec.cpus_per_trial and m.gpus >= spec.gpus_per_trial for m in machines):
        raise UserError(
            f"ray.cpus_per_trial: {spec.cpus_per_trial:g} and ray.gpus_per_trial: {spec.gpus_per_trial:g}, but no one "
            f"of {len(machines)} machines has both; lower one of them, or join a cluster"
        )


def trial_device(device: DeviceName, spec: RaySpec) -> DeviceName:
    """Return the device of a trial: `auto` is the CPU if `gpus_per_trial` is 0, since Ray no longer hides the GPUs."""
    return "cpu" if device == "auto" and spec.gpus_per_trial == 0 else device
