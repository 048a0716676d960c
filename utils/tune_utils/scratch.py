"""The temporary folder of a search: Ray writes into it alone, and it is removed with the search.

A process that is killed cannot tidy up. So each folder holds a lock, which ends with the process that made it, and
every search first removes the folders of this user whose lock is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from utils.cli_utils import UserError

_PREFIX = "ray-"
_LOCK = "search.lock"
# A socket's path may have 107 bytes; Ray adds /session_<date>_<time>_<pid>/sockets/plasma_store to its folder.
_MAX_FOLDER_BYTES = 107 - len("/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
_PATIENCE_S = 10.0  # for processes of Ray that are ending and still write


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder for Ray's sockets and logs and what else is temporary, removed at the end.

    It is made in $RAY_TMPDIR, $TMPDIR or /tmp, the first that is set and can be used.

    Raises:
        UserError: there is none that Ray can use.
    """
    parent = _usable_parent()
    remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = _locked(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of searches that were killed; those of others, and of searches that run, stay."""
    for folder in parent.glob(f"{_PREFIX}*"):
        lock = folder / _LOCK
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # no lock: made by another program, or removed at this moment
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its search runs
            continue
        else:
            _remove(folder)
        finally:
            os.close(handle)


def _locked(folder: Path) -> int:
    """Lock a new folder for as long as this process lives; the lock appears with its name when it is held."""
    beside = folder / f".{_LOCK}"
    handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with contextlib.suppress(OSError):  # without locks, other searches cannot take it for abandoned either
        fcntl.flock(handle, fcntl.LOCK_EX)
        beside.rename(folder / _LOCK)
    return handle


def _end_processes(folder: Path) -> None:
    """End what a Ray that used this folder has left: now and then, a process of it hangs in its own exit."""
    mark = b"TMPDIR=" + os.fsencode(folder)
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is of another user
            if mark in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def _remove(folder: Path) -> None:
    _end_processes(folder)
    until = time.monotonic() + _PATIENCE_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        if time.monotonic() > until:
            print(f"{folder}: could not be removed; remove it by hand", flush=True)
            return
        time.sleep(0.1)


def _usable_parent() -> Path:
    named = next((key for key in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(key)), None)
    given = [] if named is None else [Path(os.environ[named])]
    refused: list[str] = []
    for parent in [*given, Path("/tmp")]:
        reason = _why_unusable(parent)
        if reason is None:
            if refused:
                print(f"{refused[0]}; Ray uses {parent}")
            return parent
        refused.append(f"{named if parent in given else 'default'} {parent}: {reason}")
    raise UserError(f"no folder for Ray: {'; '.join(refused)}; name a short, writable one: export RAY_TMPDIR=DIR")


def _why_unusable(parent: Path) -> str | None:
    if not parent.is_absolute():
        return "a relative path, where Ray needs an absolute one"
    room = _MAX_FOLDER_BYTES - len(f"/{_PREFIX}12345678")
    if (size := len(os.fsencode(parent))) > room:
        return f"{size} bytes, and Ray's sockets leave room for {room}"
    if not parent.is_dir():
        return "no such folder"
    try:
        with tempfile.TemporaryFile(dir=parent) as probe:
            probe.write(b" " * 4096)
            probe.flush()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None
