"""Training without Ray: the loop on the tiny corpus, with checkpoints and trial folders as Ray lays them out."""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tasks import TrainedRun, open_trained_run, parse_run
from tasks.retrieval.dual_encoder import DualEncoderRun
from tasks.runs import require_kind
from utils.artefact_utils import write_json
from utils.config_utils import override, read_settings, to_mapping
from utils.model_utils import Fit, LRSchedulerSpec, OptimizerSpec, TrainingSpec
from utils.model_utils.optimisation import ConstantSpec, SGDSpec


def run_of(made: Path, *settings: str) -> DualEncoderRun:
    """The run of the conf.yaml in `made`, with `key=value` settings."""
    run = parse_run(override(read_settings(made / "conf.yaml"), settings), "conf.yaml")
    return require_kind(run, DualEncoderRun, "conf.yaml")


def fit_of(run: DualEncoderRun) -> Fit:
    return Fit(run.build(), run.training, run.optimizer, run.lr_scheduler)


def trained_run(arguments: Sequence[str]) -> TrainedRun[DualEncoderRun]:
    """What stage 3 loads for these arguments."""
    with open_trained_run(arguments, argparse.ArgumentParser(), DualEncoderRun) as (trained, _):
        return trained


def keep_checkpoints(folder: Path, stop_after: int | None = None) -> Callable[..., None]:
    """A report that writes `checkpoint_<n>` folders, and ends the run after so many epochs."""

    def report(metrics: dict[str, float], save: Callable[[Path], None]) -> None:
        save(folder / f"checkpoint_{int(metrics['epoch']) - 1:06d}")
        if metrics["epoch"] == stop_after:
            raise StoppedError

    return report


class StoppedError(Exception):
    """What a test raises to end a run between two epochs."""


def write_trial(run: DualEncoderRun, name: str = "trial_00000") -> Path:
    """Train a run in this process; returns its trial folder."""
    folder = run.folder / name
    write_json(folder / "params.json", to_mapping(run))
    fit_of(run).run(keep_checkpoints(folder), to_mapping(run))
    return folder


def differences(one: Any, two: Any, path: str = "") -> list[str]:
    """Where two states differ in any bit, type or key."""
    if type(one) is not type(two):
        return [f"{path}: {type(one).__name__} and {type(two).__name__}"]
    if isinstance(one, dict):
        if list(one) != list(two):
            return [f"{path}: keys {list(one)} and {list(two)}"]
        return [line for key in one for line in differences(one[key], two[key], f"{path}.{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(two):
            return [f"{path}: {len(one)} and {len(two)} items"]
        return [line for n, pair in enumerate(zip(one, two, strict=True)) for line in differences(*pair, f"{path}.{n}")]
    if isinstance(one, Tensor):
        same = one.dtype == two.dtype and torch.equal(one.nan_to_num(), two.nan_to_num())
        return [] if same else [f"{path}: {one.flatten()[:3]} and {two.flatten()[:3]}"]
    same = one == two or (isinstance(one, float) and math.isnan(one) and math.isnan(two))
    return [] if same else [f"{path}: {one!r} and {two!r}"]


class StubLoader:
    """`batches` times the input `x`; notes the epochs that were set."""

    def __init__(self, x: float, batches: int) -> None:
        self.x, self.batches = x, batches
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter([{"x": torch.full((1, 1), self.x)}] * self.batches)


class StubTask:
    """One weight, 1 at first; the loss is (w x)^2; the metrics are given.

    Args:
        values: of select_on, one for each epoch.
        key: select_on.
        x: the input; NaN makes the loss NaN.
    """

    def __init__(self, values: Sequence[float] = (), key: str = "mAP@10", x: float = 1.0, batches: int = 1) -> None:
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.net.weight)
        self.loader = StubLoader(x, batches)
        self.asked: list[str] = []
        self.autocast_dtypes: list[torch.dtype | None] = []
        self._values, self._key = iter(values), key

    @property
    def weight(self) -> float:
        return self.net.weight.item()

    def model(self) -> nn.Module:
        return self.net

    def loaders(self) -> dict[str, StubLoader]:
        return {"train": self.loader}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        on = torch.is_autocast_enabled("cpu")
        self.autocast_dtypes.append(torch.get_autocast_dtype("cpu") if on else None)
        return {"loss": self.net(batch["x"]).square().mean()}

    def outputs(self, split: str) -> str:
        assert not self.net.training
        assert torch.is_inference_mode_enabled()
        self.asked.append(split)
        return split

    def metrics(self, outputs: str) -> dict[str, float]:
        value = next(self._values, 0.0) if outputs == "val" else 0.25
        return {"mAP@10": 0.5, "val_loss": 0.75, self._key: value}


class StubTraining(TrainingSpec):
    """The `training:` block of a stub."""

    select_on: str = "mAP@10"

    higher_is_better: ClassVar[dict[str, bool]] = {"mAP@10": True, "R@1": True, "val_loss": False, "error": False}


def stub_fit(
    task: StubTask,
    training: TrainingSpec,
    optimizer: OptimizerSpec | None = None,
    lr_scheduler: LRSchedulerSpec | None = None,
) -> Fit:
    return Fit(task, training, optimizer or SGDSpec(name="SGD", lr=0.1), lr_scheduler or ConstantSpec(name="none"))


def reports_of(fit: Fit) -> list[dict[str, float]]:
    """The metrics of every epoch that the run goes through."""
    seen: list[dict[str, float]] = []
    fit.run(lambda metrics, save: seen.append(metrics), {})
    return seen
