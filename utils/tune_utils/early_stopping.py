"""Which trials are stopped early: ASHA and the plateau stopper, by names of trials.

Both decide by what has been reported before, in order of arrival. A resumed search hands them the recorded rows again
and then decides as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from utils.model_utils import TrainingSpec
from utils.tune_utils.results import number
from utils.tune_utils.spec import RaySpec


class EarlyStopping:
    """Decides after each epoch whether a trial goes on.

    Args:
        spec: the `ray:` block.
        training: which metric counts, and in which direction.
        max_epochs: of the longest trial, which differs from `training.epochs` where that is searched.
    Attributes:
        stopped_by: trial -> which of the two has ended it, in words; ASHA also ends those that reach `max_epochs`.
    """

    def __init__(self, spec: RaySpec, training: TrainingSpec, max_epochs: int) -> None:
        from ray.tune.schedulers import ASHAScheduler, TrialScheduler
        from ray.tune.stopper import TrialPlateauStopper

        self._metric = training.select_on
        self._watched = training.select_on if spec.stopper is None else spec.stopper.watch or training.select_on
        self._stop = TrialScheduler.STOP
        self._epochs: dict[str, int] = {}  # of each trial, the last one that was seen
        self.stopped_by: dict[str, str] = {}  # trial -> which of the two has ended it
        self._asha: Any = None
        self._stopper: Any = None
        if spec.scheduler == "asha":
            self._asha = ASHAScheduler(
                time_attr="epoch",
                metric=training.select_on,
                mode=training.mode,
                max_t=max_epochs,
                grace_period=min(spec.grace_epochs, max_epochs),
                reduction_factor=spec.reduction_factor,
            )
        if spec.stopper is not None:
            self._stopper = TrialPlateauStopper(
                self._watched,
                std=spec.stopper.std,
                num_results=spec.stopper.num_results,
                grace_period=spec.stopper.grace_epochs,
            )

    def ends(self, trial: str, metrics: Mapping[str, Any]) -> bool:
        """Whether a trial ends with these metrics of its newest epoch; one that it repeats has been decided before."""
        epoch, result = number(metrics, "epoch"), {key: number(metrics, key) for key in (self._metric, self._watched)}
        if epoch is None or None in result.values() or epoch <= self._epochs.get(trial, 0):
            return False
        result["epoch"] = epoch
        known_to_ray = SimpleNamespace(trial_id=trial)
        ends = self._stopper is not None and self._stopper(trial, result)
        if ends:
            self.stopped_by[trial] = f"ray.stopper ({self._watched} has stopped moving)"
        if self._asha is not None and not ends:
            if trial not in self._epochs:
                self._asha.on_trial_add(None, known_to_ray)
            ends = self._asha.on_trial_result(None, known_to_ray, result) == self._stop
            if ends:
                self.stopped_by[trial] = "ASHA"
        self._epochs[trial] = int(epoch)
        return ends


def scheduler_of(stopping: EarlyStopping) -> Any:
    """Ray Tune's view of `stopping`."""
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    class Scheduler(FIFOScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
            del tune_controller
            metrics = {key.removeprefix("metrics/"): v for key, v in result.items() if key.startswith("metrics/")}
            stop = stopping.ends(trial.config["trial"]["name"], metrics)
            return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    return Scheduler()
