"""Ray while stage 1 runs: its machines, and how many actors of which shape they hold."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.cli_utils import UserError
from utils.tune_utils.chunk_actors import ActorShape, ChunkActors
from utils.tune_utils.cluster import ask_nodes, live_nodes
from utils.tune_utils.connection import environment
from utils.tune_utils.interrupts import Interrupts, interrupts
from utils.tune_utils.resources import Machine
from utils.tune_utils.running_ray import ray_session

# Ray's own processes and threads warn of what Ray Data itself does.
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}


class Stage1Cluster(NamedTuple):
    """A Ray that runs, for stage 1.

    Attributes:
        machines: what each of its machines has.
        local: it is on this machine alone, and was started for this command.
    """

    machines: Sequence[Machine]
    local: bool

    @property
    def has_gpus(self) -> bool:
        """Whether a machine has a GPU."""
        return any(machine.gpus >= 1 for machine in self.machines)

    def executor(self, shape: ActorShape, most: int | None = None) -> ChunkActors:
        """As many actors as the machines hold.

        Args:
            shape: of each.
            most: use no more actors.
        Raises:
            UserError: no machine holds one.
        """
        there = sum(_held(machine, shape) for machine in self.machines)
        if not there:
            raise UserError(
                f"ray.address: a process needs {shape.cpus} processors and {shape.gpus} GPUs, and none of the "
                f"{len(self.machines)} machines has them"
            )
        return ChunkActors(min(there, most or there), shape)

    def executor_of_encoders(self, threads: int, *, gpus: bool) -> ChunkActors:
        """An actor a GPU, with its share of the processors; without GPUs one for every `threads` processors.

        Args:
            threads: of torch on one machine, whose results are to be met to the last bit: used where there is no GPU.
            gpus: compute on these.
        """
        if gpus:
            shares = [int(machine.cpus // machine.gpus) for machine in self.machines if machine.gpus >= 1]
            return self.executor(ActorShape(max(1, min(shares)), 1))
        largest = int(max(machine.cpus for machine in self.machines))
        return self.executor(ActorShape(max(1, min(threads, largest)), 0, threads))

    def describe(self, executor: ChunkActors) -> str:
        """What runs where, for people."""
        machines, actors, shape = len(self.machines), executor.actors, executor.shape
        where = "this machine" if self.local else f"{machines} machine{'s' if machines > 1 else ''}"
        what = f"{shape.gpus} GPU" if shape.gpus else f"{shape.cpus} processor{'s' if shape.cpus > 1 else ''}"
        return f"Ray on {where}: up to {actors} process{'es' if actors > 1 else ''} of {what}"


def _held(machine: Machine, shape: ActorShape) -> int:
    """How many actors a machine holds."""
    by_cpu = int(machine.cpus // shape.cpus)
    return min(by_cpu, int(machine.gpus // shape.gpus)) if shape.gpus else by_cpu


@contextlib.contextmanager
def stage_1_cluster(address: str | None, features: Path, seen: Sequence[Path]) -> Iterator[Stage1Cluster]:
    """Ray inside the block: the cluster of an address, or one that is started on this machine.

    Args:
        address: `ray.address`.
        features: the folder that is written; all machines must see the same one.
        seen: what else every machine must see.
    Raises:
        UserError: Ray cannot be started or reached, or a machine does not see a folder.
        KeyboardInterrupt: a signal came that ends the command, such as SIGTERM.
    """
    with environment(_QUIET), _interruptible() as signals, ray_session(address, features.absolute(), quiet=True):
        signals.install()  # Ray has put its own handler of SIGTERM in place, which ends in a crash of its threads
        nodes = live_nodes()
        if address is not None:
            with _probe(features.absolute()) as (probe, text):
                places = [Path.cwd(), *(path.absolute() for path in seen)]
                ask_nodes([node for node, _ in nodes], check_folders, places, probe, text)
        yield Stage1Cluster([machine for _, machine in nodes], address is None)


@contextlib.contextmanager
def _interruptible() -> Iterator[Interrupts]:
    """Handle the signals that end a command inside the block, so that Ray's processes end before this one."""
    with interrupts() as signals:
        try:
            yield signals
        except SystemExit as error:  # Ray turns SIGTERM into an exit while it starts
            raise KeyboardInterrupt from error


@contextlib.contextmanager
def _probe(features: Path) -> Iterator[tuple[Path, str]]:
    """A file that a machine finds only if its folder is ours, and not another one of the same name."""
    features.mkdir(parents=True, exist_ok=True)
    text = secrets.token_hex(16)
    probe = features / f".seen-{text}"
    try:
        probe.write_text(text, encoding="ascii")
        yield probe, text
    finally:
        probe.unlink(missing_ok=True)


def check_folders(places: Sequence[Path], probe: Path, text: str) -> None:
    """Make sure that this machine sees the folders of the command, and may write where it does.

    Args:
        places: files and folders, absolute.
        probe: a file in the folder that is written, made for this check.
        text: what it holds.
    Raises:
        UserError: it does not.
    """
    for place in places:
        if not place.exists():
            raise _unseen(f"does not see {place}")
    try:
        found = probe.read_text(encoding="ascii")
    except FileNotFoundError:
        found = ""
    if found != text:
        raise _unseen(
            f"sees another folder as {probe.parent}" if probe.parent.is_dir() else f"does not see {probe.parent}"
        )
    try:
        with tempfile.TemporaryFile(dir=probe.parent):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _unseen(f"cannot write into {probe.parent} as user {os.getuid()} ({reason})") from error


def _unseen(what: str) -> UserError:
    return UserError(
        f"machine {socket.gethostname()} {what}; all machines of a cluster need the same folders under the same names: "
        "put them on a shared disk"
    )
