"""A Ray of our own, on this machine alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError
from utils.tune_utils.connection import environment, forget_token, init_ray, one_line

# A socket's path may have 107 bytes; Ray adds /session_<date>_<time>_<pid>/sockets/plasma_store to its folder.
_MAX_FOLDER_BYTES = 107 - len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
_OBJECT_STORE_BYTES = 128 * 2**20  # trials pass no large objects; Ray would take 30 % of the memory from /dev/shm


@contextlib.contextmanager
def local_environment() -> Iterator[Path]:
    """Ray's folder, and the token that keeps other users of this machine out of a Ray of our own.

    Left to itself, Ray writes a token into the home folder, which every later cluster then asks for.
    """
    folder, moved = _ray_folder()
    values = {"TMPDIR": str(folder.parent)} if moved else {}
    if not any(key in os.environ for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with environment(values):
        forget_token()
        yield folder


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


def start_local(folder: Path) -> None:
    """Start Ray with its sockets and logs in `folder`.

    Raises:
        UserError: it cannot be started.
    """
    options: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    if (quoted := shlex.quote(sys.executable)) != sys.executable:
        # Ray Tune starts trials through a shell, which would split the path of the interpreter at a blank
        options["runtime_env"] = {"py_executable": quoted}
    try:
        init_ray(address="local", _temp_dir=str(folder), **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"Ray cannot be started on this machine: {one_line(error)}; its logs: {folder}/session_latest/logs; "
            "look for a full /dev/shm (df -h /dev/shm), a limit of processes (ulimit -u) or files (ulimit -n); "
            "export RAY_TMPDIR=DIR takes another folder"
        ) from error
