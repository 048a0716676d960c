"""What the driver does as trials go: write down what they report, and print a line for every epoch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from utils.artefact_utils import write_json
from utils.config_utils import value_at
from utils.model_utils.epoch_costs import costs_in_words
from utils.model_utils.trials import PARAMS_FILE, TrialEnd, read_end, read_rows, write_end
from utils.tune_utils.draws import EPOCHS, Draw, epochs_of, epochs_of_trials, settings_of
from utils.tune_utils.early_stopping import EarlyStopping
from utils.tune_utils.interrupts import Interrupts
from utils.tune_utils.overview import ERROR_FILE, how_ended, reason_of
from utils.tune_utils.placement import AbandonedGroups
from utils.tune_utils.results import Results
from utils.tune_utils.spec import Experiment
from utils.tune_utils.time_left import TimeLeft, in_words
from utils.tune_utils.trial import FAILED


class Recorder:
    """Writes the files of the trials: params.json, result.json, progress.csv, events, ended.json, error.txt.

    Args:
        experiment: what the trials share.
        trials: name -> draw.
        results: where rows are written.
        stopping: which of them were stopped early, and by what.
    Attributes:
        failed: name -> the last line of what went wrong.
        trouble: why a file could not be written, which ended the search.
    """

    def __init__(
        self, experiment: Experiment, trials: dict[str, Draw], results: Results, stopping: EarlyStopping
    ) -> None:
        self.failed: dict[str, str] = {}
        self.trouble: Exception | None = None
        self._experiment = experiment
        self._trials = trials
        self._results = results
        self._stopping = stopping
        done = {name: max(read_rows(experiment.folder / name), default=0) for name in trials}
        ended = {name for name in trials if read_end(experiment.folder / name) is not None}
        epochs = epochs_of_trials(experiment, trials)
        self._time_left = TimeLeft(
            {name: 0 if name in ended else most - done.get(name, 0) for name, most in epochs.items()}
        )
        self._has_chance = True  # printed once, with the first epoch of any trial
        self._events: dict[str, Any] = {}
        self._errors: dict[str, str] = {}

    def start(self, name: str) -> None:
        """A trial starts, or goes on."""
        from torch.utils.tensorboard import SummaryWriter  # tensorboardX needs semaphores, and they need /dev/shm

        folder = self._experiment.folder / name
        write_json(folder / PARAMS_FILE, settings_of(self._experiment, self._trials[name]))
        (folder / ERROR_FILE).unlink(missing_ok=True)
        if name not in self._events:
            newest = max(read_rows(folder), default=0)
            self._events[name] = SummaryWriter(str(folder), purge_step=newest + 1 if newest else None)
            self._describe(name)
        self._time_left.start(name)
        tried = ", ".join(f"{key} {value}" for key, value in self._trials[name].items())
        print(f"{name}: starts{', ' if tried else ''}{tried}", flush=True)

    def _describe(self, name: str) -> None:
        """Fill TensorBoard's HParams tab: what the trial has drawn, beside the metric that it is chosen by."""
        from torch.utils.tensorboard.summary import hparams

        draw = self._trials[name]
        plain = str | int | float
        drawn = {key: value if isinstance(value, plain) else json.dumps(value) for key, value in draw.items()}
        # not SummaryWriter.add_hparams, which makes another run of it
        for described in hparams(drawn, {self._experiment.training.select_on: 0.0}) if drawn else ():
            self._events[name].file_writer.add_summary(described)

    def report(self, name: str, metrics: dict[str, float]) -> None:
        """An epoch has ended."""
        training = self._experiment.training
        self._results.add(name, metrics)
        epoch, select_on = int(metrics["epoch"]), training.select_on
        for key, value in metrics.items():
            self._events[name].add_scalar(key, value, epoch)
        self._time_left.report(name, metrics["epoch_s"])
        others = [key for key in training.printed[2:] if key in metrics]
        print(
            f"{name}: epoch {epoch}/{epochs_of(self._experiment, self._trials[name])}, "
            f"train_loss {metrics['train_loss']:.4f}, {select_on} {metrics[select_on]:.4f}{self._chance_once()}, "
            f"{''.join(f'{key} {metrics[key]:.4f}, ' for key in others)}"
            f"{metrics['epoch_s']:.1f} s{costs_in_words(metrics)}{self._left_in_words()}",
            flush=True,
        )

    def _chance_once(self) -> str:
        chance = self._experiment.chance.get(self._experiment.training.select_on)
        if chance is None or not self._has_chance:
            return ""
        self._has_chance = False
        return f" (chance {chance:.4f})"

    def _left_in_words(self) -> str:
        """The time that is left; `at most` where trials may be stopped before their last epoch."""
        seconds = self._time_left.seconds()
        if not seconds:
            return ""
        spec, training = self._experiment.ray, self._experiment.training
        may_stop = spec.scheduler == "asha" or spec.stopper is not None or training.early_stop_patience is not None
        return f", {'at most' if may_stop else 'about'} {in_words(seconds)} left"

    def end(self, name: str) -> None:
        """Write the files of a trial that has trained all its epochs, was stopped early, has diverged or failed."""
        if name in self._errors:
            self.fail(name, self._errors.pop(name))
            return
        folder = self._experiment.folder / name
        if read_end(folder) is None:
            settings = settings_of(self._experiment, self._trials[name])
            mark_end(folder, settings, self._stopping.stopped_by.get(name))
        end = read_end(folder)
        if end is not None and end.reason != "finished":
            print(f"{name}: {how_ended(end)} after epoch {end.epoch}", flush=True)
        self.close(name)

    def note_error(self, name: str, traceback: str) -> None:
        """A trial is about to end, with an error."""
        self._errors[name] = traceback

    def recover(self, name: str, reason: str) -> None:
        """A trial was lost, and starts again from its last checkpoint."""
        print(f"{name}: lost ({reason}); goes on from its last checkpoint", flush=True)

    def fail(self, name: str, traceback: str) -> None:
        """Write the traceback of a trial that failed, such as for lack of memory; it is not marked as ended."""
        self.failed[name] = reason_of(traceback)
        (self._experiment.folder / name).mkdir(exist_ok=True)
        (self._experiment.folder / name / ERROR_FILE).write_text(traceback, encoding="utf-8")
        self.close(name)

    def give_up(self, name: str, traceback: str) -> None:
        """A trial was lost, and is not started again."""
        self.fail(name, traceback)
        self.failed[name] += f"; it was lost more often than ray.max_failures: {self._experiment.ray.max_failures}"

    @contextlib.contextmanager
    def noting_trouble(self) -> Iterator[None]:
        """Note an exception of the block, which Ray Tune turns into the text of a traceback."""
        try:
            yield
        except Exception as error:
            self.trouble = self.trouble or error
            raise

    def close(self, name: str) -> None:
        """Let go of the files of a trial."""
        self._time_left.end(name)
        self._results.forget(name)
        if name in self._events:
            self._events.pop(name).close()


def mark_end(trial: Path, settings: Mapping[str, Any], stopped_by: str | None) -> None:
    """Mark a trial that has reported its last row.

    Args:
        trial: its folder.
        settings: of the trial.
        stopped_by: the early stopping that ended it; None: it has trained all its epochs, or its own patience ran out.
    """
    newest = max(read_rows(trial), default=0)
    if newest >= value_at(settings, EPOCHS):
        write_end(trial, TrialEnd("finished", newest))
    else:
        write_end(trial, TrialEnd("stopped early", newest, stopped_by or "training.early_stop_patience"))


def ray_callback(recorder: Recorder, interrupts: Interrupts) -> Any:
    """Ray Tune's view of a recorder."""
    from ray import tune

    groups = AbandonedGroups()

    def name_of(trial: Any) -> str:
        return str(trial.config["trial"]["name"])

    def error_of(trial: Any) -> str:
        path = Path(trial.error_file or "")
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    class Callback(tune.Callback):
        def setup(self, *_: Any, **__: Any) -> None:
            interrupts.install()  # Ray Tune has just put its own handlers in their place

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            del iteration, trials
            with recorder.noting_trouble():
                recorder.start(name_of(trial))

        def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **_: Any) -> None:
            del iteration, trials
            with recorder.noting_trouble():
                if FAILED in result:
                    recorder.note_error(name_of(trial), result[FAILED])
                else:
                    recorder.report(name_of(trial), result["metrics"])

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            del iteration, trials
            with recorder.noting_trouble():
                recorder.end(name_of(trial))

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            del iteration, trials
            with recorder.noting_trouble():
                recorder.give_up(name_of(trial), error_of(trial))

        def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            del iteration, trials
            recorder.recover(name_of(trial), reason_of(error_of(trial)))

        def on_step_end(self, *_: Any, **__: Any) -> None:
            groups.remove()

    return Callback()


def summary(experiment: Experiment, trials: dict[str, Draw]) -> list[str]:
    """A line for every trial that has diverged: its settings are to blame, and it is left out."""
    lines = []
    for name, draw in trials.items():
        end = read_end(experiment.folder / name)
        if end is not None and end.reason == "diverged":
            tried = f" with {json.dumps(draw)}" if draw else ""
            lines.append(f"{name}: diverged{tried}, left out: {end.message}")
    return lines
