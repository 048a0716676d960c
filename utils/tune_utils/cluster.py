"""Start a Ray of our own, or join a running cluster; say what stands in the way."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError
from utils.tune_utils.spec import Machine, RaySpec, check_resources
from utils.tune_utils.trial import enter

_RAY_SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # trials enter the folder where the command was given
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",  # two trials at the same step are not one message
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the later default of Ray, which warns where it is not chosen
    "RAY_COLOR_PREFIX": "0",  # what the commands print holds no control characters
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are reported in one line, and whole in error.txt
    "RAY_AIR_NEW_OUTPUT": "0",  # its summary would repeat ours
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own rows reach the disk as they come
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # nobody reads Ray's own state of the experiment
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_PROJECT = Path(__file__).resolve().parents[2]
# A socket's path may have 107 bytes; Ray adds /session_<date>_<time>_<pid>/sockets/plasma_store to its folder.
_MAX_FOLDER_BYTES = 107 - len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
_OBJECT_STORE_BYTES = 128 * 2**20  # trials pass no large objects; Ray would take 30 % of the memory from /dev/shm
_WORKER_START_S = 120.0
_ANSWER_S = 5.0


@contextlib.contextmanager
def running_ray(spec: RaySpec, experiment: Path) -> Iterator[None]:
    """Ray inside the block: one of our own, or the cluster that `ray.address` names.

    Args:
        spec: the `ray:` block.
        experiment: runs/<experiment>, absolute; every machine must see it.
    Raises:
        UserError: Ray cannot be started or reached, or has too little for one trial.
    """
    with _environment(_RAY_SETTINGS | {"PYTHONPATH": _import_path()}):
        import ray

        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # its warnings are about files that nobody reads
        try:
            if spec.address is None:
                with _local_environment() as folder:
                    _start(folder)
                    yield
            else:
                with _joined_environment(spec.address):
                    _join(spec, spec.address, experiment)
                    yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables inside the block; Ray's processes inherit them."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _import_path() -> str:
    """PYTHONPATH of the trials' processes: this project first, wherever the command was given."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_PROJECT), *([given] if given else [])])


def _init(**options: Any) -> None:
    """ray.init, without runtime_env: with one, Ray starts workers through a shell that splits paths at blanks."""
    import ray
    from ray.job_config import JobConfig

    ray.init(
        log_to_driver=True,
        logging_level=logging.ERROR,
        job_config=JobConfig(_py_driver_sys_path=[str(_PROJECT)]),  # for clusters, which do not inherit PYTHONPATH
        **options,
    )


# --- a Ray of our own -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _local_environment() -> Iterator[Path]:
    """Ray's folder, and the token that keeps other users of this machine out of a Ray of our own.

    Left to itself, Ray writes a token into the home folder, which every later cluster then asks for.
    """
    folder, moved = _ray_folder()
    values = {"TMPDIR": str(folder.parent)} if moved else {}
    if not any(key in os.environ for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with _environment(values):
        _forget_token()
        yield folder


def _forget_token() -> None:
    """Make Ray read its token and mode from the environment as it is now, not as it was at the first look."""
    from ray import _raylet

    compiled: Any = _raylet
    compiled.Config.initialize("")
    compiled.AuthenticationTokenLoader.instance().reset_cache()


def _ray_folder() -> tuple[Path, bool]:
    """A folder for Ray's sockets and logs, and whether it is another one than the environment names.

    Raises:
        UserError: there is none that Ray can use.
    """
    named = next((key for key in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(key)), None)
    given = [] if named is None else [Path(os.environ[named])]
    refused: list[str] = []
    for parent in [*given, Path("/tmp")]:
        reason = _why_unusable(parent / "ray")
        if reason is None:
            if refused:
                print(f"{refused[0]}; Ray uses {parent / 'ray'}")
            return parent / "ray", bool(refused)
        refused.append(f"{named if parent in given else 'default'} {parent}: {reason}")
    raise UserError(f"no folder for Ray: {'; '.join(refused)}; name a short, writable one: export RAY_TMPDIR=DIR")


def _why_unusable(folder: Path) -> str | None:
    if not folder.is_absolute():
        return "a relative path, where Ray needs an absolute one"
    if (size := len(os.fsencode(folder))) > _MAX_FOLDER_BYTES:
        return f"{size} bytes, and Ray's sockets leave room for {_MAX_FOLDER_BYTES}"
    if not folder.parent.is_dir():
        return "no such folder"
    try:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777) if folder.stat().st_uid == os.getuid() else None  # as Ray does: users share it
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b" " * 4096)
            probe.flush()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _start(folder: Path) -> None:
    try:
        _init(address="local", include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, _temp_dir=str(folder))
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"Ray cannot be started on this machine: {_one_line(error)}; its logs: {folder}/session_latest/logs; "
            "look for a full /dev/shm (df -h /dev/shm), a limit of processes (ulimit -u) or files (ulimit -n); "
            "export RAY_TMPDIR=DIR takes another folder"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- a cluster of others ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _joined_environment(address: str) -> Iterator[None]:
    """Ray sends its token only to clusters that it has found by itself; here, also to one that asks for it."""
    _forget_token()
    values = {}
    if (found := _host_and_port(address)) is not None:
        try:
            socket.create_connection(found, timeout=_ANSWER_S).close()  # Ray itself tries for minutes
        except OSError as error:
            raise _unreachable(address, error) from error
        if _refuses(*found):
            values = {"RAY_AUTH_MODE": "token"}
            with _environment(values):
                _forget_token()
                if _refuses(*found):
                    raise UserError(
                        f"ray.address: the cluster at {address} asks for its token: copy ~/.ray/auth_token of the "
                        "machine where it was started here, or give it by RAY_AUTH_TOKEN_PATH=FILE or "
                        "RAY_AUTH_TOKEN=TEXT, with RAY_AUTH_MODE=token"
                    )
    with _environment(values):
        _forget_token()
        yield


def _host_and_port(address: str) -> tuple[str, int] | None:
    """Where an address leads; None where Ray alone can tell, such as ray://HOST:PORT."""
    from ray._private.services import canonicalize_bootstrap_address

    if address == "auto":
        address = canonicalize_bootstrap_address(address) or ""
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() and "/" not in host else None


def _refuses(host: str, port: int) -> bool:
    """Whether the cluster answers that the token is missing or wrong; Ray itself would try for 20 s."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
    from ray.exceptions import AuthenticationError

    messages: Any = gcs_service_pb2
    try:
        channel = init_grpc_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        with contextlib.closing(channel):
            stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
            stub.GetClusterId(messages.GetClusterIdRequest(), timeout=_ANSWER_S)
    except AuthenticationError:  # the environment asks for a token, and there is none
        return True
    except grpc.RpcError as error:
        return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def _join(spec: RaySpec, address: str, experiment: Path) -> None:
    import ray

    try:
        _init(address=address)
    except ray.exceptions.AuthenticationError as error:
        raise UserError(f"ray.address: {address}: {_one_line(error)}") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, error) from error
    nodes = [node for node in ray.nodes() if node["Alive"]]
    machines = [Machine(node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0)) for node in nodes]
    check_resources(spec, machines)
    fitting = [
        node
        for node, machine in zip(nodes, machines, strict=True)
        if machine.cpus >= spec.cpus_per_trial and machine.gpus >= spec.gpus_per_trial
    ]
    _check_nodes(fitting, experiment)


def _check_nodes(nodes: list[dict[str, Any]], experiment: Path) -> None:
    """Start a worker on every machine that trials may run on: it must start, and see our folders.

    Raises:
        UserError: one does not.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    looking: dict[Any, dict[str, Any]] = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        start: Any = ray.remote(enter)
        start = start.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        looking[start.remote(Path.cwd(), experiment)] = node
    done, waiting = ray.wait(list(looking), num_returns=len(looking), timeout=_WORKER_START_S)
    for look in done:
        try:
            ray.get(look)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            raise UserError(f"ray.address: {_one_line(cause or error)}") from error
    for look in waiting:
        raise UserError(
            f"ray.address: machine {looking[look]['NodeManagerAddress']} has started no worker for "
            f"{_WORKER_START_S:.0f} s: a broken Python or Ray, or a blank in its path; its logs there: "
            "/tmp/ray/session_latest/logs"
        )


def _unreachable(address: str, error: BaseException) -> UserError:
    return UserError(
        f"ray.address: no Ray cluster can be reached at {address}: {_one_line(error)}; start it (ray start --head), "
        "or use null"
    )
