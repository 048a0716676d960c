"""Which learning rate and weight decay each parameter has: groups by name, and within them by what decays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field
from torch.nn import Parameter

from utils.cli_utils import ConfigError
from utils.config_utils import Spec

NamedParameters = Iterable[tuple[str, Parameter]]


class GroupSpec(Spec):
    """One line of `optimizer.groups:`, such as `audio_encoder: {lr: 1.0e-4}`; null: as the rest of the model."""

    lr: float | None = Field(None, gt=0, le=100)
    weight_decay: float | None = Field(None, ge=0, le=10)


def decay_groups(parameters: Iterable[Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups that decay weight matrices and kernels alone.

    Decay pulls towards 0. For a bias, the gain of a batch or layer norm, or a (logarithmic) temperature 0 is no
    simpler than any other value, so that tensors of one dimension or less do not decay.

    Args:
        parameters: all that learn, in the order of the model.
        weight_decay: of the others.
    Returns:
        One group in the same order where nothing decays; else those that decay, then those that do not.
    Source: CLIP (Radford et al. 2021, section 2.5): all weights that are not gains or biases; OpenCLIP, train/main.py.
    """
    learning = list(parameters)
    if weight_decay == 0:
        return [{"params": learning, "weight_decay": 0.0}] if learning else []
    decayed = [parameter for parameter in learning if parameter.ndim > 1]
    others = [parameter for parameter in learning if parameter.ndim <= 1]
    groups = ({"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def parameter_groups(
    parameters: NamedParameters, weight_decay: float, named: Mapping[str, GroupSpec]
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: first the rest of the model, then those of `optimizer.groups` in their order.

    Args:
        parameters: all of the model by name; those that do not learn are left out.
        weight_decay: of the rest.
        named: the beginning of parameters' names, in whole components, with or without that of the outermost module
            (`audio_encoder` is `dual_encoder.audio_encoder`) -> what is different there. Where two fit, the longer one.
    Returns:
        Groups as `torch.optim` takes them; those of `optimizer.groups` have a `name`, and `lr` where it is given.
    Raises:
        ConfigError: a name that is the beginning of no parameter that learns.
    """
    members: dict[str | None, list[Parameter]] = {None: [], **{key: [] for key in named}}
    learning = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    for name, parameter in learning:
        members[_group_of(name, named)].append(parameter)
    for key in named:
        if not any(_matches(name, key) for name, _ in learning):
            raise ConfigError(
                f"optimizer.groups.{key}: no parameter that learns has a name that begins so; choices: "
                f"{', '.join(_choices(name for name, _ in learning))}"
            )
    groups = decay_groups(members[None], weight_decay)
    for key, spec in named.items():
        decay = weight_decay if spec.weight_decay is None else spec.weight_decay
        rate = {} if spec.lr is None else {"lr": spec.lr}
        groups += [{**group, **rate, "name": key} for group in decay_groups(members[key], decay)]
    # a model in closed form learns nothing; torch.optim refuses no groups, but not an empty one
    return groups or [{"params": [], "weight_decay": 0.0}]


def learning_rates(groups: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What the log calls the learning rates of now: `lr` of the rest of the model, and `lr_<name>` of each group."""
    rates: dict[str, float] = {}
    for group in groups:
        rates.setdefault(f"lr_{group['name']}" if "name" in group else "lr", group["lr"])
    return rates


def _group_of(name: str, keys: Iterable[str]) -> str | None:
    fitting = [key for key in keys if _matches(name, key)]
    # by where the match ends, so that `dual_encoder.audio_encoder` and `audio_encoder.fc_out` compare rightly
    return max(fitting, key=lambda key: _end_of_match(name, key)) if fitting else None


def _matches(name: str, key: str) -> bool:
    return _end_of_match(name, key) > 0


def _end_of_match(name: str, key: str) -> int:
    """How many characters of a name a key covers, counted from the name's beginning; 0: it is not its beginning."""
    for start in (0, len(name.partition(".")[0]) + 1):
        if f"{name[start:]}.".startswith(f"{key}."):
            return start + len(key)
    return 0


def _choices(names: Iterable[str]) -> list[str]:
    """The outermost modules and those inside them, in the order of the model."""
    found: dict[str, None] = {}
    for name in names:
        outer, *inner = name.split(".")
        found |= dict.fromkeys([outer, *inner[:1]] if len(inner) > 1 else [outer])
    return list(found)
