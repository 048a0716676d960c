"""Whether the state in a checkpoint is that of a run, before any of it is loaded.

torch's own `load_state_dict` accepts any state with the right number of entries; a wrong one fails epochs later, or in
a traceback. Here each section is compared with what the run itself would save.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from utils.cli_utils import ArtefactError

# The state of each optimizer for a parameter; all but `step` has the parameter's own shape.
_MOMENTS = {"Adam": {"step", "exp_avg", "exp_avg_sq"}, "AdamW": {"step", "exp_avg", "exp_avg_sq"}}
_MOMENTUM = {"momentum_buffer"}


def check_sections(state: Mapping[str, Any], wanted: Mapping[str, Any], checkpoint: Path) -> None:
    """Make sure that every section of a checkpoint is there, and made as this run makes it.

    Args:
        state: the checkpoint.
        wanted: the sections that are to be loaded, as this run would save them now.
        checkpoint: its path, for messages.
    Raises:
        ArtefactError: a section is missing, or something in it has another type or shape.
    """
    missing = [name for name in wanted if name not in state]
    if missing:
        raise ArtefactError(f"{checkpoint}: has no {', '.join(missing)}; use another checkpoint, or train again")
    for name, section in wanted.items():
        problem = _difference(state[name], section, name)
        if problem:
            raise ArtefactError(
                f"{checkpoint}: {problem}: changed, or made by another version of a library; use another checkpoint, "
                "or train again"
            )


def check_optimizer_state(optimizer: Optimizer, state: Any, checkpoint: Path) -> None:
    """Make sure that a saved state is that of this optimizer, parameter by parameter.

    Raises:
        ArtefactError: other parameter groups, or moments that are missing or of another shape.
    """
    problem = _groups_problem(optimizer, state) or _moments_problem(optimizer, state["state"])
    if problem:
        raise ArtefactError(f"{checkpoint}: optimizer: {problem}; train again with --fresh")


def _groups_problem(optimizer: Optimizer, state: Any) -> str:
    if not isinstance(state, dict) or not {"state", "param_groups"} <= state.keys():
        return "not the state of an optimizer"
    groups = state["param_groups"]
    wanted = optimizer.state_dict()["param_groups"]
    if not isinstance(groups, list) or not all(isinstance(g, dict) and "params" in g for g in groups):
        return "not the state of an optimizer"
    sizes = [len(g["params"]) if isinstance(g["params"], list) else 0 for g in groups]
    expected = [len(g["params"]) for g in wanted]
    if sizes != expected:
        return (
            f"found parameter groups of {_listed(sizes)} tensors, expected {_listed(expected)} tensors; it was written "
            "with another optimizer.weight_decay or optimizer.groups, or where biases, norms and the temperature "
            "decayed too"
        )
    if any(found["params"] != one["params"] for found, one in zip(groups, wanted, strict=True)):
        return "its groups number the parameters otherwise"
    return _difference(groups, wanted, "param_groups")


def _moments_problem(optimizer: Optimizer, moments: Any) -> str:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = _MOMENTS.get(type(optimizer).__name__, _MOMENTUM)
    if not isinstance(moments, dict) or not all(key in range(len(parameters)) for key in moments):
        return f"found moments of other parameters than the {len(parameters)} that learn"
    for number, found in moments.items():
        if not isinstance(found, dict) or found.keys() != names:
            return f"parameter {number} has no {', '.join(sorted(names))}"
        for name, value in found.items():
            if value is None and names == _MOMENTUM:  # SGD without momentum has none
                continue
            shape = () if name == "step" else tuple(parameters[number].shape)
            if not isinstance(value, Tensor) or tuple(value.shape) != shape or not value.is_floating_point():
                return f"{name} of parameter {number} is {_described(value)}, expected floats of shape {shape}"
    return ""


def _difference(found: Any, wanted: Any, path: str) -> str:
    """Where two states differ in type, keys, number of entries or shape, in words; numbers may differ.

    Where the run has None, a number will do too: a metric that was not measured yet, a Gaussian not yet drawn.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping) or found.keys() != wanted.keys():
            names = _listed(found) if isinstance(found, Mapping) else _described(found)
            return f"{path} holds {names}, expected {_listed(wanted)}"
        pairs = [(found[key], wanted[key], f"{path}.{key}") for key in wanted]
    elif isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(wanted):
            return f"{path} is {_described(found)}, expected {len(wanted)} entries"
        pairs = [(one, two, f"{path}.{n}") for n, (one, two) in enumerate(zip(found, wanted, strict=True))]
    else:
        alike = _alike(found, wanted)
        return "" if alike else f"{path} is {_described(found)}, expected one like {_described(wanted)}"
    return next((problem for one, two, at in pairs if (problem := _difference(one, two, at))), "")


def _alike(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Tensor):
        return isinstance(found, Tensor) and (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if isinstance(wanted, float):
        return isinstance(found, int | float) and not isinstance(found, bool)
    if wanted is None:
        return found is None or isinstance(found, int | float)
    if type(found) is not type(wanted):
        return False
    return not isinstance(wanted, int) or found >= 0  # numbers of epochs and steps


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value)}"
    return f"{value!r:.40}"


def _listed(names: Iterable[Any]) -> str:
    return f"{', '.join(str(name) for name in names):.100}" or "nothing"
