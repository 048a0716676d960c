"""One process at a time for what stage 1 writes; a killed process leaves no lock behind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.cli_utils import UserError

_TAKEN = (errno.EACCES, errno.EAGAIN)


@contextlib.contextmanager
def one_at_a_time(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder against a second process that makes the same.

    The lock is the operating system's, of this process alone: workers do not inherit it, and it ends with the process,
    also when it is killed. Where the file system has no locks, the file's content (host, pid) replaces them.

    Args:
        folder: made if it is not there.
        what: is made, such as "log-mels"; names the lock.

    Raises:
        UserError: another process is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{what.replace(' ', '-')}.lock"
    stream = _locked(path, what)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        os.close(stream)


def _locked(path: Path, what: str) -> int:
    """Open and lock the file, and write host and pid of this process into it."""
    while True:
        try:
            stream = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            made = True
        except FileExistsError:
            stream, made = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), False
        try:
            if not _hold(stream, path, what, made):
                os.close(stream)
                continue
            os.ftruncate(stream, 0)
            os.pwrite(stream, json.dumps(_identity()).encode(), 0)
        except BaseException:
            os.close(stream)
            raise
        return stream


def _hold(stream: int, path: Path, what: str, made: bool) -> bool:
    """Try to lock; False: the file was removed meanwhile, or its process has died, so open it again."""
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise _at_work(path, what, _read(stream)) from None
        # no locks on this disk
        holder = _read(stream)
        if made or holder == _identity():
            return True
        if not _has_died(holder):
            raise _at_work(path, what, holder) from None
        path.unlink(missing_ok=True)
        return False
    try:
        return os.path.samestat(os.fstat(stream), path.stat())
    except FileNotFoundError:
        return False


def _at_work(path: Path, what: str, holder: dict[str, Any]) -> UserError:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', 'another machine')}"
    return UserError(
        f"{path.parent}: {who} is making the {what} here; wait for its end, then run again (if it has died, "
        f"remove {path})"
    )


def _read(stream: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(stream, 4096, 0))
    except ValueError:  # made this moment, or by another program
        return {}
    return found if isinstance(found, dict) else {}


def _identity() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_of(os.getpid())}


def _start_of(pid: int) -> str:
    """Return the start time of a process, since pids are reused; empty where the system has no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _has_died(holder: dict[str, Any]) -> bool:
    """Whether the process is known to be gone; never of another machine."""
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or type(pid) is not int or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return _start_of(pid) != holder.get("started")
