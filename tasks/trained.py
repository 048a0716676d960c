"""A trained run, as stage 3 finds it: a trial, its checkpoint, and the files made from them."""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from tasks.base import RunSpec, Task
from tasks.commands import Commands
from tasks.runs import DEFAULT_CONF, load_run, parse_run, read_run, require_kind
from tasks.unseen import check_unseen
from utils.artefact_utils import replacing
from utils.cli_utils import ArtefactError, ConfigError, UserError, command_line, short_repr
from utils.config_utils import read_settings, set_key, settings_between, to_mapping, value_at
from utils.model_utils import (
    SavedWeights,
    TrialCheckpoint,
    choose_device,
    find_trial,
    load_weights,
    read_checkpoint,
    weights_of,
)
from utils.model_utils.trials import PARAMS_FILE
from utils.tune_utils import describe_unfinished, read_experiment_run, read_revisions

# The keys that stage 3 may change: where the raw data and the features are; the rest is the trial's.
_MOVABLE = ("data.root", "data.features")
# What chooses or describes the experiment, not a trial.
_OF_THE_EXPERIMENT = ("experiment", "output_root", "search", "ray")


R = TypeVar("R", bound=RunSpec)


class CheckpointChoice(NamedTuple):
    """The checkpoint and the split that a command line of stage 3 chooses."""

    experiment: Path | None = None  # its folder; None: that of the YAML
    trial: str | None = None  # name of the trial's folder; None: the best
    checkpoint: str | None = None  # name of the checkpoint's folder; None: the trial's best
    split: str | None = None  # its role or its own name; None: eval
    changed: Sequence[str] = ()  # the keys that `--set` named
    conf: Sequence[str] = ()  # `--conf` and `--set`, as given

    @classmethod
    def of(cls, args: argparse.Namespace) -> CheckpointChoice:
        """Of the arguments that `add_checkpoint_arguments` and `load_run` have added."""
        conf = Commands.of(args, lambda product: product).conf
        return cls(args.run, args.trial, args.checkpoint, args.split, keys_set(args.set), conf)

    def arguments(self) -> list[str]:
        """The same as arguments of a command line."""
        given = {
            "--run": self.experiment,
            "--trial": self.trial,
            "--checkpoint": self.checkpoint,
            "--split": self.split,
        }
        chosen = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        return [*self.conf, *chosen]


class TrainedRun(NamedTuple, Generic[R]):
    """A checkpoint, the run that made it, and the split to apply it to."""

    trial: TrialCheckpoint
    run: R
    split: str  # the split's own name
    saved: SavedWeights  # of the model
    arguments: Sequence[str]  # of the command line that chose them: --conf, --set, --run, --trial, ...
    commands: Commands  # that repair stage 1 for the run, also where the YAML has changed since
    train_again: str  # the command

    @property
    def checkpoint(self) -> str:
        """Which weights: trial, checkpoint and epoch, as files made with them note it."""
        return self.trial.label

    def command_for(self, script: str, *arguments: str) -> str:
        """The command line that runs another script of stage 3 on the same checkpoint and split."""
        return command_line(script, *self.arguments, *arguments)

    def task(self, *, measures: bool = True) -> Task:
        """The task with the trained weights, in eval mode, on the device of training.device.

        Args:
            measures: whether its outputs for the split are measured, or become what is measured.
        Raises:
            UserError: a file is missing or made with other settings, the features have another width by now, or what
                is measured trained the trial.
        """
        task = self._built()
        data = task.data(self.split)
        self._check_revisions(data.revisions)
        if measures:
            self.check_unseen(data.recordings())
        model = task.model()
        load_weights(model, self.saved, self.trial.checkpoint.folder)
        model.to(choose_device(self.run.training.device, "fp32")).eval()
        return task

    def _built(self) -> Task:
        """Build the task, with frozen networks loaded from their source.

        Raises:
            UserError: see `task`; of a frozen network that is gone, the message says what the checkpoint holds of it.
        """
        try:
            return self.run.build(self.split)
        except UserError as error:
            gone = {network.source for network in (self.saved.frozen or {}).values() if network.source in str(error)}
            if not gone:
                raise
            raise ArtefactError(
                f"{error}; {self.trial.checkpoint.folder} holds of this frozen network its name and digest alone: put "
                "it back where it was in training"
            ) from error

    def _check_revisions(self, found: Mapping[str, str]) -> None:
        """Refuse vectors of other encoders than those that the run was trained on."""
        wanted = read_revisions(self.trial.folder.parent)
        for kind in found.keys() & wanted.keys():
            if found[kind] != wanted[kind]:
                raise ArtefactError(
                    f"the {kind} vectors of '{self.split}' were made by {found[kind]}, {self.trial.folder} was trained "
                    f"on those of {wanted[kind]}: the encoder of that name has changed; train again: {self.train_again}"
                )

    def check_unseen(self, recordings: Mapping[str, str]) -> None:
        """Refuse a split with recordings that trained the trial, as `SplitData.recordings` names them.

        Raises:
            ArtefactError: one did, and it is not the training split.
        """
        check_unseen(self.trial.folder, self.run, self.split, recordings, self.train_again)

    def publish(self, path: Path) -> Path:
        """Show a file of the best trial in runs/<experiment>/ too; returns the path to name to the user."""
        if not self.trial.is_best:
            return path
        public = self.trial.folder.parent / path.name
        with replacing(public) as beside:
            try:
                os.link(path, beside)  # takes no room, and files here are replaced, never changed
            except OSError:
                shutil.copyfile(path, beside)
        return public


@contextlib.contextmanager
def open_trained_run(
    argv: Sequence[str] | None, parser: argparse.ArgumentParser, kind: type[R]
) -> Iterator[tuple[TrainedRun[R], argparse.Namespace]]:
    """Parse a command line of stage 3 and load the checkpoint that it means; errors inside name repairs for its run.

    Args:
        argv: the arguments; None for those of the process.
        parser: the script's own arguments; those of `add_checkpoint_arguments`, `--conf` and `--set` are added to it.
        kind: the runs that the script can use: `RunSpec` for all.
    Raises:
        UserError: there is no such run, trial, checkpoint or split, or a file of it is broken.
    """
    add_checkpoint_arguments(parser)
    conf, args = load_run(argv, parser, kind)
    trained = find_trained_run(conf, CheckpointChoice.of(args), kind)
    with trained.commands.completing():
        yield trained, args


def keys_set(settings: Sequence[str]) -> list[str]:
    """The keys that `--set` named."""
    return [setting.partition("=")[0] for setting in settings]


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what chooses a checkpoint and a split."""
    parser.add_argument("--run", type=Path, help="folder of the experiment (default: that of the YAML)")
    parser.add_argument("--trial", help="name of the trial's folder (default: the best)")
    parser.add_argument("--checkpoint", help="name of the checkpoint's folder (default: the trial's best)")
    parser.add_argument("--split", help="name of the split (default: data.splits.eval)")


def find_trained_run(conf: RunSpec, choice: CheckpointChoice, kind: type[R]) -> TrainedRun[R]:
    """Load the checkpoint that a command line means.

    Args:
        conf: the run of the YAML; it says where experiments are, on which device to compute, and where the data are.
        choice: which checkpoint and split.
        kind: the runs that the caller can use.
    Raises:
        UserError: there is no such run, trial, checkpoint or split, or a file of it is broken.
    """
    commands = Commands(tuple(choice.conf), conf.script_of)
    trial = find_trial(choice.experiment or conf.folder, choice.trial, choice.checkpoint)
    if (line := describe_unfinished(trial.folder.parent, choice.trial)) is not None:
        again = f"; go on: {_resuming(commands, trial.folder.parent)}" if choice.experiment is None else ""
        print(f"{line}; {trial.label}, the best so far, is used{again}")
    run = run_of_trial(trial.folder, conf, choice.changed, kind)
    split = split_name(run, choice.split)
    own = Commands.of_file(trial.folder / PARAMS_FILE, run.script_of)
    train_again = (commands if choice.experiment is None else own).make("training", ["--fresh"])
    if run.data != conf.data:
        commands = own
    folder = trial.checkpoint.folder
    weights = weights_of(read_checkpoint(folder), folder)
    return TrainedRun(trial, run, split, weights, choice.arguments(), commands, train_again)


def _resuming(commands: Commands, experiment: Path) -> str:
    """The command that goes on with an experiment: with its own settings, which need not be those of stage 3."""
    file = commands.conf[1] if commands.conf[:1] == ("--conf",) else str(DEFAULT_CONF)
    named = to_mapping(read_run(Path(file), []))
    changed = settings_between(named, read_experiment_run(experiment))
    conf = () if file == str(DEFAULT_CONF) else ("--conf", file)
    return Commands((*conf, *changed), commands.script_of).make("training", ["--resume"])


def run_of_trial(trial: Path, conf: RunSpec, changed: Sequence[str], kind: type[R]) -> R:
    """Read the run of a trial, as stage 3 builds it.

    Args:
        trial: its folder.
        conf: the run of the command line; it chooses the device, and `--set` can move the data.
        changed: the keys that `--set` named.
        kind: the runs that the caller can use.
    Raises:
        UserError: params.json is broken or of another system, or a key was set that the trial does not have.
    """
    source = str(trial / PARAMS_FILE)
    # parsed, so that defaults fill in the sections that an earlier version or another program did not write
    own = to_mapping(parse_run(read_settings(trial / PARAMS_FILE), source))
    params = _settings(trial, own, conf, changed)
    return require_kind(parse_run(params, source), kind, source).for_stage_3()


def split_name(run: RunSpec, given: str | None) -> str:
    """The split that `--split` means, by its role or its own name; default the evaluation split.

    Raises:
        UserError: there is no such split.
    """
    split = dict(run.data.splits).get(given or "eval", given)
    if split not in run.data.splits.names():
        raise UserError(f"--split: found '{split}', expected one of {', '.join(run.data.splits.names())}")
    return str(split)


def _settings(trial: Path, own: dict[str, Any], conf: RunSpec, changed: Sequence[str]) -> dict[str, Any]:
    """The trial's settings, moved and on the device that the command line names.

    Args:
        trial: its folder, for messages.
        own: its settings, checked.
        conf: the run of the command line; `--set` can move the data and choose the device, and nothing else.
        changed: the keys that `--set` named.
    Raises:
        UserError: another key was set to a value that the trial does not have.
    """
    params = copy.deepcopy(own)
    wanted = to_mapping(conf)
    free = {key for key in changed if key in _MOVABLE or key.split(".")[0] in conf.free_in_stage_3}
    for key in [*conf.always_of_the_yaml, *(key for key in changed if key in free)]:
        set_key(params, key, value_at(wanted, key))
    for key in conf.search:  # each trial has drawn its own value
        if _has(params, key):
            set_key(wanted, key, value_at(params, key))
    with contextlib.suppress(ConfigError):  # a drawn name has keys of its own
        wanted = to_mapping(parse_run(wanted, "--set"))
    for key in changed:
        if key.split(".")[0] in _OF_THE_EXPERIMENT:
            continue
        found = short_repr(value_at(params, key)) if _has(params, key) else "no such key"
        if not (_has(params, key) and _has(wanted, key) and value_at(params, key) == value_at(wanted, key)):
            raise UserError(
                f"--set {key}: {trial} was trained with {found}; stage 3 takes its settings from there; leave "
                f"it out, or train with it under --set experiment=NAME"
            )
    return params


def _has(mapping: dict[str, Any], key: str) -> bool:
    try:
        value_at(mapping, key)
    except ConfigError:
        return False
    return True
