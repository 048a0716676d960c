"""The trials of a captioning run side by side: what each costs, and how good its captions are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks.captioning.results import CaptionResults, Measure, measure_captions
from tasks.captioning.run import CaptioningRunBase
from tasks.captioning.written import (
    CaptionOptions,
    are_written,
    caption_split,
    captions_path,
    matched_captions,
    most_frequent_of_training,
)
from tasks.commands import Commands
from tasks.trained import CheckpointChoice, TrainedRun, find_trained_run
from utils.cli_utils import UserError
from utils.cli_utils.repairs import make
from utils.data_utils.caption_rows import MatchedCaptions
from utils.data_utils.recordings import recordings_of
from utils.model_utils import Selection
from utils.tune_utils.overview import TrialSummary, trial_summaries

# What is reported of an epoch, and shown in this order.
COSTS = ("trainable_parameters", "input_tokens", "longest_input_tokens")
LOSS = "val_loss"


class ComparedTrial(NamedTuple):
    """A trial, and the captions of its chosen checkpoint."""

    summary: TrialSummary
    checkpoint: str | None  # trial, checkpoint and epoch; None: it has no captions
    reported: Mapping[str, float]  # of the epoch of that checkpoint, or of the best one
    results: CaptionResults | None
    trouble: str | None  # why a trial that has a checkpoint has no captions


class Comparison(NamedTuple):
    """All trials of a run on one split, the best on validation first."""

    best: TrainedRun[CaptioningRunBase]
    trials: list[ComparedTrial]
    most_frequent: str  # the most frequent training caption

    @property
    def folder(self) -> Path:
        """runs/<experiment>."""
        return self.best.trial.folder.parent

    def as_json(self, made_from: Mapping[str, Any]) -> dict[str, Any]:
        """The same, as a file holds it.

        Args:
            made_from: models of the metrics, ...
        """
        return {
            "split": self.best.split,
            "most_frequent_caption": self.most_frequent,
            "made_from": dict(made_from),
            "trials": {trial.summary.name: _as_json(trial) for trial in self.trials},
        }


def compare_trials(
    conf: CaptioningRunBase, choice: CheckpointChoice, load_measure: Callable[[Sequence[Sequence[str]]], Measure]
) -> Comparison:
    """Caption a split with the chosen checkpoint of every trial, and measure the captions.

    Captions that are written already are read. What is wrong with one trial is noted in its line.

    Args:
        conf: the run of the YAML.
        choice: experiment and split.
        load_measure: references of all clips of the split -> what computes the metrics.
    Raises:
        UserError: there is no such experiment, or no trial of it can be captioned.
    """
    best = find_trained_run(conf, choice, CaptioningRunBase)
    training = best.run.training
    summaries = [
        line._replace(ended=best.commands.completed(line.ended))
        for line in trial_summaries(best.trial.folder.parent, Selection(training.select_on, training.mode))
    ]
    captioned = {line.name: _captioned(conf, choice, line) for line in summaries}
    whole = [found for found in captioned.values() if isinstance(found, _Captioned)]
    if not whole:
        reason = next((found for found in captioned.values() if found), "none has finished an epoch")
        raise UserError(f"run {best.trial.folder.parent}: no trial can be captioned: {reason}")
    with best.commands.completing():
        most_frequent = most_frequent_of_training(best.run)
    measure = load_measure(whole[0].matched.corpus)
    compared = [_compared(line, captioned[line.name], most_frequent, measure) for line in summaries]
    return Comparison(best, compared, most_frequent)


class _Captioned(NamedTuple):
    trained: TrainedRun[CaptioningRunBase]
    matched: MatchedCaptions


def _captioned(conf: CaptioningRunBase, choice: CheckpointChoice, line: TrialSummary) -> _Captioned | str | None:
    """The captions of a trial; why it has none; None where there is nothing to caption with."""
    if not line.best or line.ended.startswith("diverged"):
        return None
    try:
        trained = find_trained_run(conf, choice._replace(trial=line.name), CaptioningRunBase)
        with trained.commands.completing():
            if not are_written(trained, CaptionOptions()):
                trained.publish(caption_split(trained, CaptionOptions()))
            path = captions_path(trained)
            matched = matched_captions(path, f"write it: {make('captions')}", trained.run, trained.split, own=True)
            trained.check_unseen(recordings_of(matched.clips.values()))
    except UserError as error:
        reason = Commands(tuple(choice.conf), conf.script_of).completed(str(error))
        print(f"{line.name} is left out: {reason}")
        return reason
    return _Captioned(trained, matched)


def _compared(
    line: TrialSummary, found: _Captioned | str | None, most_frequent: str, measure: Measure
) -> ComparedTrial:
    if not isinstance(found, _Captioned):
        return ComparedTrial(line, None, line.best, None, found)
    rows, checkpoint = found.matched.rows, found.trained.trial.checkpoint
    references = [row.references for row in rows]
    results = measure_captions([row.hypothesis for row in rows], references, most_frequent, measure)
    return ComparedTrial(line, found.trained.checkpoint, checkpoint.metrics, results, None)


def _as_json(trial: ComparedTrial) -> dict[str, Any]:
    line = trial.summary
    costs = {key: trial.reported.get(key) for key in (*COSTS, LOSS)} | {"step_s": line.step_s}
    measured = {} if trial.results is None else trial.results.as_json({"checkpoint": trial.checkpoint})
    return {"ended": line.ended, "trouble": trial.trouble, "drawn": line.draw, **costs, **measured}
