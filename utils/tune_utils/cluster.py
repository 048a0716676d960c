"""A cluster that runs already: its address, its token, its machines."""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from utils.cli_utils import UserError
from utils.tune_utils.connection import environment, forget_token, init_ray, one_line
from utils.tune_utils.rank import enter
from utils.tune_utils.resources import Machine, fits
from utils.tune_utils.spec import RaySpec

Answer = TypeVar("Answer")

_WORKER_START_S = 120.0
_ANSWER_S = 5.0

# `auto` also finds the Ray that another command has started for itself alone, and nobody else may join.
_WHOSE = "; or it is of another command: start your own with ray start --head, and give its HOST:PORT"


@contextlib.contextmanager
def joined_environment(address: str) -> Iterator[None]:
    """Send the token also to a cluster at an explicit address; Ray sends it only where it found the cluster itself."""
    forget_token()
    values = {}
    if (found := _host_and_port(address)) is not None:
        try:
            socket.create_connection(found, timeout=_ANSWER_S).close()  # Ray itself tries for minutes
        except OSError as error:
            raise _unreachable(address, error) from error
        if _refuses(*found):
            values = {"RAY_AUTH_MODE": "token"}
            with environment(values):
                forget_token()
                if _refuses(*found):
                    raise UserError(
                        f"ray.address: the cluster at {address} requires its token: copy ~/.ray/auth_token of the "
                        "machine where it was started here, or give it by RAY_AUTH_TOKEN_PATH=FILE or "
                        f"RAY_AUTH_TOKEN=TEXT, with RAY_AUTH_MODE=token{_WHOSE if address == 'auto' else ''}"
                    )
    with environment(values):
        forget_token()
        yield


def _host_and_port(address: str) -> tuple[str, int] | None:
    """Parse an address; None for those that only Ray can resolve.

    Raises:
        UserError: it is `auto`, and no cluster runs on this machine.
    """
    from ray._private.services import canonicalize_bootstrap_address

    if address == "auto":
        try:
            address = canonicalize_bootstrap_address(address) or ""
        except ConnectionError as error:
            raise _unreachable(address, error) from error
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() and "/" not in host else None


def _refuses(host: str, port: int) -> bool:
    """Whether the cluster answers that the token is missing or wrong; Ray itself would try for 20 s.

    Raises:
        UserError: something else answers, or nothing in time.
    """
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
    from ray.exceptions import AuthenticationError

    messages: Any = gcs_service_pb2
    try:
        channel = init_grpc_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        with contextlib.closing(channel):
            stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
            stub.GetClusterId(messages.GetClusterIdRequest(), timeout=3 * _ANSWER_S)
    except AuthenticationError:  # the environment requires a token, and there is none
        return True
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            return True
        # Ray itself would try without end
        raise UserError(
            f"ray.address: what answers at {host}:{port} is no Ray cluster; `ray start --head` prints the address, "
            "whose port is 6379 unless another was given"
        ) from error
    return False


def join_cluster(address: str, *, quiet: bool = False) -> None:
    """Join a cluster.

    Args:
        address: of it.
        quiet: what workers print is not shown here.
    Raises:
        UserError: it cannot be reached.
    """
    import ray

    try:
        init_ray(quiet=quiet, address=address)
    except ray.exceptions.AuthenticationError as error:
        raise UserError(f"ray.address: {address}: {one_line(error)}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, error) from error


def live_nodes() -> list[tuple[dict[str, Any], Machine]]:
    """Return the nodes of the Ray that runs, as Ray describes them, and what each of them offers."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    return [(node, Machine(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0))) for node in nodes]


def check_nodes(spec: RaySpec, experiment: Path, paths: Sequence[Path]) -> None:
    """Make sure that trials can run on every machine that has room for a rank.

    Args:
        spec: with a number of GPUs.
        experiment: runs/<experiment>, absolute.
        paths: what else trials read.
    Raises:
        UserError: a machine cannot start trials, or does not see what they need.
    """
    several = spec.workers_per_trial > 1  # then the process of the trial is on the head node
    _check_nodes(
        [
            node
            for node, machine in live_nodes()
            if fits(spec, machine) or (several and "node:__internal_head__" in node["Resources"])
        ],
        experiment,
        paths,
    )


def _check_nodes(nodes: list[dict[str, Any]], experiment: Path, paths: Sequence[Path] = ()) -> None:
    """Start a worker on every machine that trials may run on: it must start, see our folders, and start trials.

    Raises:
        UserError: one does not.
    """
    for node, interpreter in ask_nodes(nodes, _look_around, Path.cwd(), experiment, paths):
        if shlex.quote(interpreter) != interpreter:
            raise UserError(
                f"ray.address: the Python of machine {node['NodeManagerAddress']} is {interpreter!r}: Ray "
                "cannot start trials by a path with blanks or signs; start Ray there from another folder"
            )


def ask_nodes(
    nodes: list[dict[str, Any]], function: Callable[..., Answer], *arguments: Any
) -> list[tuple[dict[str, Any], Answer]]:
    """Call a function on every one of these machines.

    Args:
        nodes: as Ray describes them.
        function: picklable; a UserError that it raises says what is wrong with the machine, which it names.
        arguments: of the function.
    Returns:
        Each node with what the function returned there.
    Raises:
        UserError: it did, or a machine starts no worker.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    calls: dict[Any, dict[str, Any]] = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        call: Any = ray.remote(function)
        call = call.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        calls[call.remote(*arguments)] = node
    done, waiting = ray.wait(list(calls), num_returns=len(calls), timeout=_WORKER_START_S)
    answers = []
    for call in done:
        try:
            answers.append((calls[call], ray.get(call)))
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            raise UserError(f"ray.address: {one_line(cause or error)}") from error
    for call in waiting:
        raise UserError(
            f"ray.address: machine {calls[call]['NodeManagerAddress']} has started no worker for "
            f"{_WORKER_START_S:.0f} s: its Python or Ray may be broken; its logs there: "
            "/tmp/ray/session_latest/logs"
        )
    return answers


def _look_around(directory: Path, experiment: Path, paths: Sequence[Path]) -> str:
    """The interpreter of a machine that sees our folders."""
    enter(directory, experiment, paths)
    return sys.executable


def _unreachable(address: str, error: BaseException) -> UserError:
    return UserError(
        f"ray.address: no Ray cluster can be reached at {address}: {one_line(error)}; start it (ray start --head), "
        "or use null"
    )
