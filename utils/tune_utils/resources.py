"""What a trial takes of the machines, and whether they have it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from utils.cli_utils import UserError
from utils.model_utils.devices import DeviceName
from utils.tune_utils.spec import RaySpec


class Machine(NamedTuple):
    """What one machine offers to trials."""

    cpus: float
    gpus: float


def with_gpus(spec: RaySpec, device: DeviceName, machines: Sequence[Machine]) -> RaySpec:
    """The same with a number in place of `gpus_per_trial: auto`.

    It is 1 where a machine has a GPU, so that no two trials or ranks share one; else 0.

    Args:
        spec: the `ray:` block.
        device: `training.device`; trials on the CPU take no GPU.
        machines: where trials may run.
    """
    if spec.gpus_per_trial != "auto":
        return spec
    found = device != "cpu" and any(machine.gpus >= 1 for machine in machines)
    return spec.model_copy(update={"gpus_per_trial": 1.0 if found else 0.0})


def check_resources(spec: RaySpec, machines: Sequence[Machine]) -> None:
    """Make sure that the machines can hold one trial; Ray itself would wait for ever.

    Args:
        spec: with a number of GPUs.
        machines: a rank has to fit on one of them; the ranks of a trial may be spread over several.
    Raises:
        UserError: they cannot.
    """
    where = "" if len(machines) == 1 else f" on any one of {len(machines)} machines"
    for key, wanted, there in (
        ("cpus", spec.cpus_per_trial, max((m.cpus for m in machines), default=0)),
        ("gpus", spec.gpus, max((m.gpus for m in machines), default=0)),
    ):
        if wanted > there:
            raise UserError(
                f"ray.{key}_per_trial: {wanted:g}, but there are {there:g}{where}; lower it, or join a cluster"
            )
    room = _room(spec, machines)
    if room == 0:
        raise UserError(
            f"ray.cpus_per_trial: {spec.cpus_per_trial:g} and ray.gpus_per_trial: {spec.gpus:g}, but no one "
            f"of {len(machines)} machines has both; lower one of them, or join a cluster"
        )
    if room < spec.workers_per_trial:
        raise UserError(
            f"ray.workers_per_trial: {spec.workers_per_trial} ranks, each with {spec.cpus_per_trial} processors and "
            f"{spec.gpus:g} GPUs, but there is room for {room}; lower it or what each rank takes, or join a cluster"
        )


def trials_at_a_time(spec: RaySpec, machines: Sequence[Machine]) -> int:
    """How many trials the machines hold together, or `ray.max_concurrent` where that is less."""
    room = _room(spec, machines) // spec.workers_per_trial
    return room if spec.max_concurrent is None else min(room, spec.max_concurrent)


def fits(spec: RaySpec, machine: Machine) -> bool:
    """Whether a machine has room for a rank."""
    return _room(spec, [machine]) > 0


def _room(spec: RaySpec, machines: Sequence[Machine]) -> int:
    """How many ranks the machines hold together: all take the same, so that those of each machine add up."""
    slack = 1e-6  # 3 x 0.1 GPUs are more than 0.3
    rooms = (min(m.cpus / spec.cpus_per_trial, m.gpus / spec.gpus if spec.gpus else math.inf) + slack for m in machines)
    return sum(math.floor(room) for room in rooms)


def trial_device(device: DeviceName, spec: RaySpec) -> DeviceName:
    """Return the device of a trial: `auto` is the CPU if `gpus_per_trial` is 0, since Ray no longer hides the GPUs."""
    return "cpu" if device == "auto" and spec.gpus_per_trial == 0 else device
