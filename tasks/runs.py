"""The runs of all systems: the union of their Specs, and what every command does with a run."""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import hashlib
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import torch
from pydantic import Field

from tasks.base import RunSpec, Task
from tasks.captioning.run import CaptioningRun, ImageCaptioningRun
from tasks.classification.run import ClassificationRun
from tasks.music.run import MusicRun
from tasks.retrieval.clap_projection import ClapProjectionRun
from tasks.retrieval.retrieval import RetrievalRun
from tasks.unseen import trained_on
from utils.cli_utils import ConfigError
from utils.config_utils import override, parse, read_settings, set_key, to_mapping, value_at
from utils.model_utils import Fit, checkpoint_bytes, choose_device
from utils.model_utils.task_protocol import DealingLoader
from utils.process_utils import all_cores
from utils.report_utils import print_table
from utils.tune_utils import Experiment, Machine, check_resources, trial_device, with_gpus

DEFAULT_CONF = Path("conf.yaml")
# If these differed between trials, they would be in different folders, or could not be compared.
_SHARED_KEYS = ("task", "experiment", "output_root", "search", "ray", "training.select_on")

# The table of systems: `task:` in the YAML chooses. A new system is named here, and nowhere else.
SYSTEMS: tuple[type[RunSpec], ...] = (
    RetrievalRun,
    ClapProjectionRun,
    CaptioningRun,
    ImageCaptioningRun,
    MusicRun,
    ClassificationRun,
)
_RUN: Any = Annotated[functools.reduce(operator.or_, SYSTEMS), Field(discriminator="task")]

R = TypeVar("R", bound=RunSpec)


def load_run(
    argv: Sequence[str] | None, parser: argparse.ArgumentParser, kind: type[R]
) -> tuple[R, argparse.Namespace]:
    """Parse a command line of the three moves.

    Args:
        argv: the arguments; None for those of the process.
        parser: the script's own arguments; `--conf` and `--set` are added to it.
        kind: the runs that the script can use: `RunSpec` for all.
    Returns:
        The checked run and all arguments.
    Raises:
        ConfigError: no such file, bad keys, or a run of another kind.
    """
    add_conf_arguments(parser)
    args = parser.parse_args(argv)
    return require_kind(read_run(args.conf, args.set), kind, str(args.conf)), args


def add_conf_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names a run."""
    parser.add_argument("--conf", type=Path, default=DEFAULT_CONF, help="the run's YAML (default conf.yaml)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="another value for a key, such as data.root=DIR"
    )


def read_run(conf: Path, settings: Sequence[str]) -> RunSpec:
    """Read a run.

    Args:
        conf: its YAML.
        settings: `key=value`, of `--set`.

    Raises:
        ConfigError: no such file, or bad keys.
    """
    return parse_run(override(read_settings(conf), settings), str(conf))


def parse_run(mapping: dict[str, Any], source: str) -> RunSpec:
    """Check the settings of a run, of a YAML or of a trial's params.json.

    Raises:
        ConfigError: bad keys.
    """
    run: RunSpec = parse(mapping, _RUN, source)
    return run


def require_kind(run: RunSpec, kind: type[R], source: str) -> R:
    """The same run, known to be of a kind.

    Raises:
        ConfigError: it is of another system.
    """
    if not isinstance(run, kind):
        names = [_name_of(system) for system in SYSTEMS if issubclass(system, kind)]
        raise ConfigError(f"{source}: task is {run.task}, this script takes {' or '.join(names)}; name another --conf")
    return run


def _name_of(system: type[RunSpec]) -> str:
    """What `task:` says for a system."""
    annotation: Any = system.model_fields["task"].annotation
    return str(get_args(annotation)[0])


def check_run(run: RunSpec, *, thorough: bool) -> Task:
    """Check what a run needs before anything is started; prints sizes.

    Args:
        run: the checked settings.
        thorough: also read every feature and open the evaluation split.
    Returns:
        The task, with its training and validation splits open.
    Raises:
        UserError: a key of `search:`, the device, a file, a front-end or an id does not fit.
    """
    check_search(run)
    if run.ray.address is None:
        here = [Machine(all_cores(), torch.cuda.device_count())]
        spec = with_gpus(run.ray, run.training.device, here)
        choose_device(trial_device(run.training.device, spec), run.training.precision)
        check_resources(spec, here)
        if run.training.device == "auto" and run.ray.gpus_per_trial == 0 and torch.cuda.is_available():
            print("ray.gpus_per_trial is 0: trials compute on the CPU; for the GPU here: --set ray.gpus_per_trial=auto")
        if thorough and run.ray.gpus_per_trial == "auto":
            print(f"ray.gpus_per_trial: auto is {spec.gpus:g} on this machine, which has {here[0].gpus:g} GPUs")
    if run.training.device == "cuda" and run.ray.gpus_per_trial == 0:
        raise ConfigError("ray.gpus_per_trial: 0, but training.device is cuda; give a trial a GPU, or use auto")
    task = run.build()
    parameters = sum(p.numel() for p in task.model().parameters())
    run.optimizer.build(task.model().named_parameters())  # refuses groups that match no parameter
    splits = [task.data(role) for role in (("train", "val", "eval") if thorough else ("train", "val"))]
    if thorough:
        for split in splits:
            split.check()
    if run.ray.workers_per_trial * run.training.accumulate > 1:
        loader = task.loaders()["train"]
        if isinstance(loader, DealingLoader):
            loader.deal(0, run.ray.workers_per_trial, run.training.accumulate)
    lines = run.check_splits(splits, thorough=thorough)
    counts = [split.summary() for split in splits]
    rows = [[split.name, *count.values()] for split, count in zip(splits, counts, strict=True)]
    print_table(f"{run.task}: {parameters / 1e6:.2f} M parameters", ["split", *counts[0]], rows)
    print(*lines, sep="\n", end="\n" if lines else "")
    return task


def check_search(run: RunSpec) -> None:
    """Try the ends of every distribution of `search:` on the key it searches.

    Raises:
        ConfigError: there is no such key, it does not take such values, or all trials must share it.
    """
    mapping = _settings_to_draw_into(run) | {"search": {}}
    for key, distribution in run.search.items():
        if any(_overlap(key, shared) for shared in _SHARED_KEYS):
            raise ConfigError(f"search.{key}: all trials of an experiment share this key; set it outside `search:`")
        for value in distribution.extremes():
            trial = copy.deepcopy(mapping)
            set_key(trial, key, value)
            parse_run(trial, f"search.{key} = {value}")


def _settings_to_draw_into(run: RunSpec) -> dict[str, Any]:
    """The settings; of a block whose `name` is searched only the keys that were set, since defaults are of each choice.

    A key such as `channels` means something else in another choice, which would take over the default of the first one.
    """
    mapping, given = to_mapping(run), run.model_dump(mode="json", exclude_unset=True)
    for key in run.search:
        block, _, last = key.rpartition(".")
        if last == "name":
            with contextlib.suppress(ConfigError):  # the block is not in the YAML, or unknown, which is refused later
                set_key(mapping, block, value_at(given, block))
    return mapping


def _overlap(key: str, other: str) -> bool:
    """Whether one of two dotted keys is, or holds, the other."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def refuse_searched(run: RunSpec, settings: Sequence[str]) -> None:
    """Refuse another value for a key that each trial draws, which would have no effect.

    Args:
        run: with those settings.
        settings: `key=value`, of `--set`.
    Raises:
        ConfigError: one of them is such a key, or in such a block.
    """
    for setting in settings:
        key = setting.partition("=")[0]
        drawn = next((one for one in run.search if f"{key}.".startswith(f"{one}.")), None)
        if drawn is not None:
            raise ConfigError(
                f"--set {key}: has no effect, since each trial draws {drawn} from search.{drawn}; leave it out, change "
                "search, or train one trial without it: --set 'search={}'"
            )


def experiment_of(run: RunSpec, task: Task) -> Experiment:
    """What `utils.tune_utils.launch` needs of a run and of its task as `check_run` left it."""
    splits = [task.data(role) for role in ("train", "val")]
    digest = hashlib.blake2b("".join(split.digest() for split in splits).encode(), digest_size=16).hexdigest()
    size = checkpoint_bytes(task.model(), run.optimizer, averaged=run.training.ema is not None)
    return Experiment(
        run=_settings_to_draw_into(run),
        distributions=run.search,
        ray=run.ray,
        training=run.training,
        folder=run.folder,
        data=digest,
        trained_on=trained_on(run, splits),
        revisions=splits[0].revisions,
        checkpoint_bytes=size,
        chance=run.chance(splits[1]),
        paths=_paths_of_training(run),
    )


def _paths_of_training(run: RunSpec) -> list[Path]:
    """The files and folders of the settings that a trial reads, wherever it runs; those that exist."""
    settings = to_mapping(run)
    read = [value for key, value in settings["data"].items() if key == "features" or key.endswith("_embeddings")]
    read += [settings.get("model"), settings["data"]["root"] if run.reads_recordings else None]
    found = [Path(text).expanduser() for text in _texts(read)]
    return list(dict.fromkeys(path.absolute() for path in found if path.exists()))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a section of settings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def fit_of(mapping: dict[str, Any]) -> Fit:
    """The training run of a trial's settings."""
    run = parse_run(mapping, "params.json")
    return Fit(run.build(), run.training, run.optimizer, run.lr_scheduler)
