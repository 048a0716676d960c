"""Train, evaluate, checkpoint, restore: one loop for every task."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from utils.cli_utils import UserError
from utils.config_utils import Spec
from utils.data_utils.sampling import SamplingSpec
from utils.model_utils.checkpoints import (
    STATE_FILE,
    check_fits,
    newest_whole_checkpoint,
    random_state,
    restore_random_state,
    seed_everything,
    weights_of,
    write_checkpoint,
)
from utils.model_utils.devices import DeviceName, Precision, autocast, choose_device, to_device
from utils.model_utils.optimisation import LRSchedulerSpec, OptimizerSpec
from utils.model_utils.saved_state import check_optimizer_state, check_sections
from utils.model_utils.task_protocol import Loader, Task

# How often a long epoch says where it stands.
_HEARTBEAT_S = 30.0

# (metrics of the epoch, a function that writes its checkpoint into a folder)
Report = Callable[[dict[str, float], Callable[[Path], None]], None]


class TrainingSpec(Spec):
    """The `training:` block."""

    epochs: int = Field(20, ge=1, le=100_000)
    batch_size: int = Field(32, ge=1, le=65_536)  # pairs, or clips with sampling.by: clip
    sampling: SamplingSpec = SamplingSpec()
    device: DeviceName = "auto"
    precision: Precision = "fp32"
    seed: int = Field(0, ge=0, lt=2**63)
    clip_grad_norm: float | None = Field(1.0, gt=0)
    select_on: str = "mAP@10"  # a metric of validation; each system lists its own
    early_stop_patience: int | None = Field(None, ge=1)  # epochs without a better select_on
    extra_passes: tuple[Literal["train", "eval"], ...] = ()  # splits to measure after every epoch, besides val

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether lower or higher is better for select_on."""
        return "min" if self.select_on.endswith("loss") else "max"

    def better(self, value: float, best: float | None) -> bool:
        """Whether `value` beats the best so far."""
        if best is None:
            return not math.isnan(value)
        return value < best if self.mode == "min" else value > best


class Fit:
    """One training run: the task's model, its optimizer, and how far they have come."""

    def __init__(
        self,
        task: Task,
        training: TrainingSpec,
        optimizer: OptimizerSpec,
        lr_scheduler: LRSchedulerSpec,
        loader: Loader | None = None,
    ) -> None:
        """Prepare the first epoch.

        Args:
            task: answers the five questions; its model is moved to the device.
            training: the `training:` block.
            optimizer: the `optimizer:` block.
            lr_scheduler: the `lr_scheduler:` block.
            loader: training batches, in place of the task's own.
        Raises:
            UserError: the device or the precision cannot be had here.
        """
        self.training = training
        self.device = choose_device(training.device, training.precision)
        self._task = task
        self.model = task.model().to(self.device)
        self._loader = loader or task.loaders()["train"]
        self._learning = [p for p in self.model.parameters() if p.requires_grad]
        self._optimizer = optimizer.build(self._learning)
        self._schedule = lr_scheduler.build(self._optimizer, len(self._loader), training.epochs, training.mode)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=training.precision == "fp16")
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        seed_everything(training.seed)  # whatever was drawn to build the task, the run goes on the same

    def restore(self, folders: Sequence[Path]) -> None:
        """Go on from the newest checkpoint that is whole; `folders` are oldest first.

        Raises:
            UserError: there are checkpoints, and none is whole, or the newest is not of such a run.
        """
        newest, troubles = newest_whole_checkpoint(folders)
        for trouble in troubles:
            print(f"{trouble}; using the one before it", flush=True)
        if newest is None:
            if troubles:
                raise UserError(f"{folders[0].parent}: no checkpoint is whole; train again with --fresh")
            return
        self._load(newest.state, newest.folder / STATE_FILE)
        print(f"resumed after epoch {self.epoch}", flush=True)

    def _load(self, state: dict[str, Any], path: Path) -> None:
        schedule, scaler = self._schedule.state_dict(), self._scaler.state_dict()
        check_sections(
            state, {"scheduler": schedule, "scaler": scaler, "epoch": 0, "best": None, "best_epoch": 0}, path
        )
        weights = weights_of(state, path)
        check_fits(self.model, weights, path)
        check_optimizer_state(self._optimizer, state.get("optimizer"), path)
        self.model.load_state_dict(weights)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["scheduler"])
        self._scaler.load_state_dict(state["scaler"])
        restore_random_state(state.get("random"), path)
        self.epoch, self.best, self.best_epoch = state["epoch"], state["best"], state["best_epoch"]

    def state(self, config: dict[str, Any]) -> dict[str, Any]:
        """Everything that the next epoch depends on, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "epoch": self.epoch,
            "random": random_state(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "config": config,
        }

    def run(self, report: Report, config: dict[str, Any]) -> None:
        """Train to the last epoch, or until the metric has stopped improving.

        Args:
            report: called after every epoch.
            config: the run's settings, kept in every checkpoint.
        """
        while self.epoch < self.training.epochs and not self._stalled():
            metrics = self._one_epoch()
            report(metrics, functools.partial(write_checkpoint, state=self.state(config), metrics=metrics))

    def _stalled(self) -> bool:
        patience = self.training.early_stop_patience
        return patience is not None and self.epoch - self.best_epoch >= patience

    def _one_epoch(self) -> dict[str, float]:
        started = time.perf_counter()
        self.epoch += 1
        metrics = {"epoch": float(self.epoch), "lr": self._optimizer.param_groups[0]["lr"]}
        metrics["train_loss"] = self.train_epoch()
        metrics["train_s"] = time.perf_counter() - started
        metrics.update(self._task.metrics(self._outputs("val")))
        for split in self.training.extra_passes:
            extra = self._task.metrics(self._outputs(split))
            # not train_loss, which is the mean over the epoch's training batches
            metrics.update({f"{split}_pass_{key.removeprefix('val_')}": value for key, value in extra.items()})
        value = metrics[self.training.select_on]
        self._schedule.epoch(value)
        if self.training.better(value, self.best):
            self.best, self.best_epoch = value, self.epoch
        metrics["best"] = value if self.best is None else self.best
        metrics["epoch_s"] = time.perf_counter() - started
        return metrics

    def train_epoch(self) -> float:
        """One pass over the training batches; returns the mean loss.

        Raises:
            UserError: the loss is no longer finite.
        """
        self.model.train()
        self._loader.set_epoch(self.epoch)
        with torch.random.fork_rng(devices=[]):  # starting workers draws a seed, which happens again after a resume
            batches = iter(self._loader)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        last_word = time.perf_counter()
        for number, batch in enumerate(batches, 1):
            total += self._train_step(to_device(batch, self.device))
            if time.perf_counter() - last_word > _HEARTBEAT_S:
                last_word = time.perf_counter()
                mean = total.item() / number
                print(f"epoch {self.epoch}: step {number}/{len(self._loader)}, loss {mean:.4f}", flush=True)
        mean = total.item() / len(self._loader)
        if not math.isfinite(mean):
            raise UserError(
                f"epoch {self.epoch}: the training loss is {mean}; lower optimizer.lr, set training.clip_grad_norm, "
                "or use precision fp32"
            )
        return mean

    def _train_step(self, batch: dict[str, Tensor]) -> Tensor:
        with autocast(self.device, self.training.precision):
            loss = self._task.losses(batch)["loss"]
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        if self.training.clip_grad_norm is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._learning, self.training.clip_grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        return loss.detach()

    def _outputs(self, split: str) -> Any:
        self.model.eval()
        with torch.inference_mode(), autocast(self.device, self.training.precision):
            return self._task.outputs(split)
