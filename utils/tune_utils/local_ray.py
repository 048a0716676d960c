"""A Ray of our own, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError
from utils.tune_utils.connection import environment, forget_token, init_ray, one_line

_LOGS = "ray_logs"  # in runs/<experiment>/ or data.features, of a Ray that did not start
_OBJECT_STORE_BYTES = 128 * 2**20  # trials pass no large objects; Ray would take 30 % of the memory from /dev/shm


@contextlib.contextmanager
def local_environment(folder: Path) -> Iterator[None]:
    """Set the temporary folder of Ray's processes, and a token that keeps other users out of this Ray.

    Without this, Ray writes a token into the home folder, which every later cluster then requires.
    """
    tempfile.gettempdir()  # this process goes on using the folder that it has, which outlives the search
    values = {"TMPDIR": str(folder)}
    if not any(key in os.environ for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with environment(values):
        forget_token()
        yield


def start_local(folder: Path, logs_folder: Path, *, quiet: bool = False) -> None:
    """Start Ray.

    Args:
        folder: for its sockets and logs.
        logs_folder: where the logs go if it does not start.
        quiet: what workers print is not shown here.
    Raises:
        UserError: it cannot be started.
    """
    options: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    if (quoted := shlex.quote(sys.executable)) != sys.executable:
        # Ray Tune starts trials through a shell, which would split the path of the interpreter at a blank
        options["runtime_env"] = {"py_executable": quoted}
    try:
        init_ray(quiet=quiet, address="local", _temp_dir=str(folder), **options)
    except (OSError, RuntimeError, ValueError) as error:
        logs = logs_folder / _LOGS
        if (session := folder / "session_latest" / "logs").is_dir():
            shutil.copytree(session, logs, ignore_dangling_symlinks=True, dirs_exist_ok=True)
        raise UserError(
            f"Ray cannot be started on this machine: {one_line(error)}; its logs: {logs}; "
            "look for a full /dev/shm (df -h /dev/shm), a limit of processes (ulimit -u) or files (ulimit -n); "
            "export RAY_TMPDIR=DIR takes another folder"
        ) from error
