"""Train, evaluate, checkpoint, restore: one loop for every task."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.cli_utils import UserError
from utils.model_utils.arithmetic import refusing_in_words, set_arithmetic
from utils.model_utils.averaging import AveragedWeights, say_change, trained_weights
from utils.model_utils.checkpoints import (
    STATE_FILE,
    fitting_weights,
    newest_whole_checkpoint,
    weights_of,
    write_checkpoint,
)
from utils.model_utils.compiling import Compiled
from utils.model_utils.devices import autocast, choose_device
from utils.model_utils.divergence import DivergedError, FiniteCheck
from utils.model_utils.epoch_costs import EpochCosts
from utils.model_utils.frozen_weights import FrozenNetwork, frozen_networks, weights_to_save
from utils.model_utils.optimisation import LRSchedulerSpec, OptimizerSpec, computed_here
from utils.model_utils.parameter_groups import learning_rates
from utils.model_utils.prefetching import on_device
from utils.model_utils.random_states import seed_everything
from utils.model_utils.rank_states import random_state_of_ranks, restore_ranks, seed_of_rank
from utils.model_utils.ranks import of_first_rank, rank, ranks
from utils.model_utils.saved_state import check_optimizer_state, check_sections
from utils.model_utils.step import GradientStep, batched
from utils.model_utils.task_protocol import DealingLoader, Loader, Task
from utils.model_utils.training_spec import Best, Selection, TrainingSpec

# Time between two lines of progress in a long epoch.
_HEARTBEAT_S = 30.0

# (metrics of the epoch, a function that writes its checkpoint into a folder)
Report = Callable[[dict[str, float], Callable[[Path], None]], None]


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
        set_arithmetic(self.device, training.matmul_precision, deterministic=training.deterministic)
        self._task = task
        self.model = task.model().to(self.device)
        self._compiled = Compiled(self.model, self.device, training.compile)
        self._loader = loader or task.loaders()["train"]
        self._learning = [p for p in self.model.parameters() if p.requires_grad]
        self._averages = None if training.ema is None else AveragedWeights(self.model, training.ema)
        self._optimizer = optimizer.build(self.model.named_parameters(), fused=self.device.type == "cuda")
        self._plateau_watch = lr_scheduler.watch or training.select_on
        mode = training.mode_of(self._plateau_watch)
        self._schedule = lr_scheduler.build(self._optimizer, len(self._loader), training.epochs, mode)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=training.precision == "fp16")
        if ranks() * training.accumulate > 1:
            if not isinstance(self._loader, DealingLoader):
                raise TypeError(
                    f"{type(self._loader).__name__} has no `deal`, which training.accumulate and ranks need"
                )
            self._loader.deal(rank(), ranks(), training.accumulate)
        self._gradients = GradientStep(task, self._scaler, lambda: autocast(self.device, training.precision))
        self.epoch = 0
        self.best = Best(training.mode)
        self._stop_watch = training.early_stop_watch or training.select_on
        self._stop = Best(training.mode_of(self._stop_watch), training.early_stop_threshold)
        # again: building the task may have drawn numbers, and their count must not change the run
        seed_everything(seed_of_rank(training.seed))

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
        # checkpoints from before early stopping had a metric of its own have no "stop"
        state = {"stop": {"value": state.get("best"), "epoch": state.get("best_epoch")}} | state
        best = {"value": None, "epoch": 0}
        wanted = {"scheduler": schedule, "scaler": scaler, "epoch": 0, "best": None, "best_epoch": 0, "stop": best}
        check_sections(state, wanted, path)
        state = computed_here(state, self._optimizer)
        weights = fitting_weights(self.model, self._frozen, weights_of(state, path), path)
        trained, updates = trained_weights(self.model, state, weights, path)
        check_optimizer_state(self._optimizer, state.get("optimizer"), path)
        restore_ranks(state, self.training.seed, path)  # the last one to refuse; loading draws nothing
        # frozen networks have theirs; the rest was compared by name
        self.model.load_state_dict({**weights, **trained}, strict=False)
        if self._averages is not None:
            self._averages.load(weights, updates)
        say_change(self.training.ema, state)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["scheduler"])
        self._scaler.load_state_dict(state["scaler"])
        self.epoch = state["epoch"]
        self.best.load_state_dict({"value": state["best"], "epoch": state["best_epoch"]})
        self._stop.load_state_dict(state["stop"])
        self._replan(state.get("config"))

    def _replan(self, config: Any) -> None:
        """Let the learning rate follow a schedule over more epochs than when the checkpoint was written."""
        section = config.get("training") if isinstance(config, dict) else None
        then = section.get("epochs") if isinstance(section, dict) else None
        if then is None or then == self.training.epochs:
            return
        before = self._optimizer.param_groups[0]["lr"]
        if self._schedule.follow():
            print(
                f"training.epochs {then} -> {self.training.epochs}: the learning rate goes on as if the schedule had "
                f"been planned over {self.training.epochs} epochs from the start: {before:.2e} -> "
                f"{self._optimizer.param_groups[0]['lr']:.2e}",
                flush=True,
            )

    @functools.cached_property
    def _frozen(self) -> dict[str, FrozenNetwork]:
        return frozen_networks(self.model)  # once: nothing changes them

    def state(self, config: dict[str, Any]) -> dict[str, Any]:
        """Everything that the next epoch depends on, as tensors and plain values."""
        state = {
            "model": weights_to_save(self.model, self._frozen),
            "frozen": {name: network._asdict() for name, network in self._frozen.items()},
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "epoch": self.epoch,
            **random_state_of_ranks(),
            "best": self.best.value,
            "best_epoch": self.best.epoch,
            "stop": self._stop.state_dict(),
            "config": config,
        }
        return state if self._averages is None else self._averages.into(state)

    def run(self, report: Report, config: dict[str, Any]) -> None:
        """Train to the last epoch, or until the metric has stopped improving.

        Args:
            report: called after every epoch.
            config: the run's settings, stored in every checkpoint.
        """
        selection = Selection(self.training.select_on, self.training.mode)
        while self.epoch < self.training.epochs and not self._stalled():
            with refusing_in_words(self.device):
                metrics = self._one_epoch()
            state = self.state(config)
            save = functools.partial(write_checkpoint, state=state, metrics=metrics, selection=selection)
            report(metrics, save)

    def _stalled(self) -> bool:
        patience = self.training.early_stop_patience
        return patience is not None and self.epoch - self._stop.epoch >= patience

    def _one_epoch(self) -> dict[str, float]:
        started = time.perf_counter()
        self.epoch += 1
        metrics = {"epoch": float(self.epoch), **learning_rates(self._optimizer.param_groups)}
        metrics.update({f"train_{name}": mean for name, mean in self.train_epoch().items()})
        metrics["train_s"] = time.perf_counter() - started
        metrics["step_s"] = metrics["train_s"] / len(self._loader)
        metrics |= self._costs.of_training(metrics["train_s"])
        metrics["trainable_parameters"] = sum(parameter.numel() for parameter in self._learning)
        metrics.update(self._measure("val"))
        for split in self.training.extra_passes:
            extra = self._measure(split)
            # not train_loss, which is the mean over the epoch's training batches
            metrics.update({f"{split}_pass_{key.removeprefix('val_')}": value for key, value in extra.items()})
        self._schedule.epoch(metrics[self._plateau_watch])
        self._stop.update(metrics[self._stop_watch], self.epoch)
        value = metrics[self.training.select_on]
        self.best.update(value, self.epoch)
        metrics["best"] = value if self.best.value is None else self.best.value
        metrics["peak_memory_gb"] = self._costs.peak_memory_gb()
        metrics["epoch_s"] = time.perf_counter() - started
        if news := self._compiled.news():
            print(news, flush=True)
        return metrics

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training batches; returns the mean of each of the task's losses, by name.

        Raises:
            DivergedError: a loss or a gradient is no longer finite.
        """
        self._costs = EpochCosts(self.device)
        self.model.train()
        self._loader.set_epoch(self.epoch)
        with torch.random.fork_rng(devices=[]):  # starting workers draws a seed, which happens again after a resume
            batches = iter(self._loader)
        steps, clips = len(self._loader), self.training.clip_grad_norm is not None
        finite = FiniteCheck(self.epoch, steps, self.training.precision, clips)
        means: dict[str, float] = {}
        last_word = time.perf_counter()
        on_time = self._costs.watched(on_device(batches, self.device))
        for step, parts in enumerate(batched(on_time, self.training.accumulate), 1):
            is_due = finite.is_due(step)
            finite.add(*self._train_step(parts, wants_norm=is_due))
            is_late = time.perf_counter() - last_word > _HEARTBEAT_S
            if is_due or is_late:
                means = finite.check(self._scaler.get_scale())
            if is_late:
                last_word = time.perf_counter()
                print(f"epoch {self.epoch}: step {step}/{steps}, loss {means['loss']:.4f}", flush=True)
        return means

    def _train_step(
        self, parts: Sequence[dict[str, Tensor]], *, wants_norm: bool
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """The losses, and the norm of the gradients where clipping or the caller needs it."""
        self._optimizer.zero_grad(set_to_none=True)
        losses = self._gradients(parts)
        if not self._learning:  # a model in closed form: its losses are measured
            return losses, None
        norm: Tensor | None = None
        if self.training.clip_grad_norm is not None:
            self._scaler.unscale_(self._optimizer)
            norm = torch.nn.utils.clip_grad_norm_(self._learning, self.training.clip_grad_norm)
        elif wants_norm:
            norm = torch.nn.utils.get_total_norm([p.grad for p in self._learning if p.grad is not None])
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        if self._averages is not None:
            self._averages.update()
        return losses, norm

    def _measure(self, split: str) -> dict[str, float]:
        """The metrics of a split.

        Raises:
            DivergedError: the task finds that what the model makes of it is not finite.
        """
        self.model.eval()
        try:
            with contextlib.nullcontext() if self._averages is None else self._averages.in_use():
                with torch.inference_mode(), autocast(self.device, self.training.precision):
                    outputs = self._task.outputs(split)
                # of the first rank: a last bit may differ on a GPU, and all must come to the same decisions
                return of_first_rank(self._task.metrics(outputs))
        except DivergedError as error:
            raise DivergedError(f"epoch {self.epoch}: {error}") from error
