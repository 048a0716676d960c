"""Which trials an experiment has: what each one takes from `search:`, drawn once and written down."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError, ConfigError
from utils.cli_utils.repairs import make
from utils.config_utils import read_json, set_key, value_at
from utils.model_utils.trials import PARAMS_FILE, trial_folders
from utils.tune_utils.spec import Distribution, Experiment

TRIALS_FILE = "trials.json"
_FORMAT_VERSION = 1
EPOCHS = "training.epochs"
_SEED = "training.seed"
_MAX_SEED = 2**63

Draw = dict[str, Any]  # dotted key -> value


def trials_of(experiment: Experiment) -> dict[str, Draw]:
    """Name -> draw of every trial, as they were when the experiment began; drawn and written down if it begins now.

    With `ray.search_alg: optuna` those that were drawn so far.

    Raises:
        UserError: the record of the trials is broken, or two keys of `search:` overlap.
    """
    path = experiment.folder / TRIALS_FILE
    if path.is_file():
        return _read_trials(path, experiment)
    _refuse_overlap(experiment)
    if experiment.ray.search_alg == "optuna":
        return {}
    trials = {_name(number): draw for number, draw in enumerate(_draw(experiment))}
    for name in trials:  # an experiment of an earlier version has no such record, but its trials have their settings
        if (experiment.folder / name / PARAMS_FILE).is_file():
            trials[name] = _draw_of_params(experiment.folder / name / PARAMS_FILE, trials[name])
    _write_trials(experiment, trials)
    return trials


def add_trial(experiment: Experiment, trials: dict[str, Draw], draw: Draw) -> str:
    """Add a trial to those that were drawn so far, and write it down.

    Returns:
        Its name.
    """
    alike = sum({**earlier, _SEED: None} == {**draw, _SEED: None} for earlier in trials.values())
    name = _name(len(trials))
    trials[name] = draw if alike == 0 else draw | _other_seed(experiment, draw, alike)
    _write_trials(experiment, trials)
    return name


def are_drawn(experiment: Experiment, trials: Mapping[str, Draw]) -> bool:
    """Whether there are as many trials as there are to be."""
    return experiment.ray.search_alg != "optuna" or len(trials) >= experiment.ray.num_samples


def epochs_of_trials(experiment: Experiment, trials: Mapping[str, Draw]) -> dict[str, int]:
    """Name -> `training.epochs` of every trial, also of those that are not drawn yet: as many as they may take."""
    epochs = {name: epochs_of(experiment, draw) for name, draw in trials.items()}
    if not are_drawn(experiment, trials):
        searched = experiment.distributions.get(EPOCHS)
        most = experiment.training.epochs if searched is None else int(max(searched.extremes()))
        epochs |= {_name(number): most for number in range(len(trials), experiment.ray.num_samples)}
    return epochs


def _name(number: int) -> str:
    return f"trial_{number:05d}"


def _write_trials(experiment: Experiment, trials: Mapping[str, Draw]) -> None:
    write_json(experiment.folder / TRIALS_FILE, {"format_version": _FORMAT_VERSION, "trials": dict(trials)})


def settings_of(experiment: Experiment, draw: Draw) -> dict[str, Any]:
    """The settings of a trial: those of the run, with what the trial has drawn."""
    settings: dict[str, Any] = copy.deepcopy(experiment.run) | {"search": {}}
    for key, value in draw.items():
        set_key(settings, key, copy.deepcopy(value))
    return settings


def epochs_of(experiment: Experiment, draw: Draw) -> int:
    """Return `training.epochs` of a trial, which `search:` may draw."""
    return int(value_at(settings_of(experiment, draw), EPOCHS))


def _draw(experiment: Experiment) -> Iterator[Draw]:
    """The draws of all trials; the run's seed decides them."""
    import numpy as np
    from ray.tune.search.variant_generator import generate_variants

    space: dict[str, Any] = {}
    keys = sorted(experiment.distributions, key=lambda key: _position(experiment.run, key))
    for key in keys:
        set_key(space, key, ray_domain(experiment.distributions[key]))
    rng = np.random.default_rng(experiment.training.seed % 2**32)
    again: dict[str, int] = {}
    for _ in range(experiment.ray.num_samples):
        for _, spec in generate_variants({"config": space}, random_state=rng):
            draw = {key: _plain(experiment.distributions[key], value_at(spec["config"], key)) for key in keys}
            text = json.dumps(draw, sort_keys=True)
            repetition = again[text] = again.get(text, -1) + 1
            yield draw if repetition == 0 else draw | _other_seed(experiment, draw, repetition)


def _refuse_overlap(experiment: Experiment) -> None:
    for one, other in itertools.permutations(experiment.distributions, 2):
        if other.startswith(f"{one}."):
            raise ConfigError(f"search: {one} holds {other}, which is searched as well; search one of them")


def _other_seed(experiment: Experiment, draw: Draw, repetition: int) -> Draw:
    """A trial that repeats the settings of another one takes a seed of its own, unless `search:` chooses the seeds."""
    if any(f"{_SEED}.".startswith(f"{key}.") for key in draw):
        return {}
    return {_SEED: (experiment.training.seed + repetition) % _MAX_SEED}


def _position(run: Mapping[str, Any], key: str) -> tuple[int, ...]:
    """Return the position of a key in the settings: values are drawn in that order."""
    position = []
    section: Any = run
    for part in key.split("."):
        names = list(section) if isinstance(section, Mapping) else []
        position.append(names.index(part) if part in names else len(names))
        section = section.get(part) if isinstance(section, Mapping) else None
    return tuple(position)


def ray_domain(distribution: Distribution) -> Any:
    """Return the domain for Ray Tune: ranges as they are, lists as the indices of their items.

    Ray evaluates an item such as {eval: TEXT} as Python, so no item is shown to it.
    """
    from ray import tune

    name, values = distribution.only()
    if name == "grid":
        return tune.grid_search(list(range(len(values))))
    if name == "choice":
        return tune.choice(list(range(len(values))))
    ranges: dict[str, Callable[..., Any]] = {
        "uniform": tune.uniform,
        "loguniform": tune.loguniform,
        "randint": tune.randint,
        "quniform": tune.quniform,
        "qloguniform": tune.qloguniform,
        "qrandint": tune.qrandint,
    }
    return ranges[name](*values)


def _plain(distribution: Distribution, drawn: Any) -> Any:
    """The value that was drawn, as JSON can hold it."""
    name, values = distribution.only()
    if name in ("grid", "choice"):
        return values[drawn]
    return drawn.item() if hasattr(drawn, "item") else drawn


def _draw_of_params(path: Path, draw: Draw) -> Draw:
    try:
        params = read_json(path)
        seed = {_SEED: params["training"]["seed"]}
        return {key: value_at(params, key) for key in draw if key != _SEED} | (seed if _SEED in draw else {})
    except (ValueError, LookupError, TypeError) as error:
        raise ArtefactError(f"{path}: not the settings of a trial of this search; {_repair()}") from error


def read_draws(folder: Path) -> dict[str, Draw]:
    """Name -> draw of every trial of an experiment that was trained, here or elsewhere.

    Args:
        folder: runs/<experiment>; where it has no record of its trials, those that it holds have drawn nothing.
    Raises:
        ArtefactError: the record is broken.
    """
    path = folder / TRIALS_FILE
    return _read_record(path) if path.is_file() else {trial.name: {} for trial in trial_folders(folder)}


def _read_record(path: Path) -> dict[str, Draw]:
    try:
        held = read_json(path)
        trials = {str(name): dict(draw) for name, draw in held["trials"].items()}
        version = held["format_version"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path}: not the record of the trials; {_repair()}") from error
    if version != _FORMAT_VERSION:
        raise ArtefactError(f"{path}: format version {version}, this program reads {_FORMAT_VERSION}; {_repair()}")
    if list(trials) != [_name(number) for number in range(len(trials))] or not trials:
        raise ArtefactError(f"{path}: its trials are not trial_00000 and so on; {_repair()}")
    return trials


def _read_trials(path: Path, experiment: Experiment) -> dict[str, Draw]:
    trials = _read_record(path)
    keys = {*experiment.distributions}
    for name, draw in trials.items():
        if {*draw} - {_SEED} != keys - {_SEED}:
            raise ArtefactError(f"{path}: {name} draws {sorted(draw)}, the search {sorted(keys)}; {_repair()}")
    return trials


def _repair() -> str:
    return f"move the experiment aside and start again: {make('training', '--fresh')}"
