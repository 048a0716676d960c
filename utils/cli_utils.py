"""What every command shares: errors in one line, exit codes, and the next command to run.

Exit codes: 0 done; 1 done, but `--strict` found something; 2 bad input (one line, no traceback);
130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import functools
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

Main = Callable[[Sequence[str] | None], int | None]


class Command(Protocol):
    """A script's `main`, wrapped: it returns when all is well and exits otherwise."""

    def __call__(self, argv: Sequence[str] | None = None) -> None:
        """Run with these arguments; None: those of the process."""


# Trouble with the disk or its permissions is the user's to repair, not a bug to trace.
_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "no permission; make it readable and writable, or name another folder",
    errno.EPERM: "no permission; make it readable and writable, or name another folder",
    errno.EROFS: "the file system is read-only; name another folder",
    errno.EFBIG: "the file is too large for this disk; name another folder",
    errno.EEXIST: "a file stands where a folder is needed; remove it, or name another folder",
    errno.ENOTDIR: "a file stands where a folder is needed; remove it, or name another folder",
    errno.EISDIR: "a folder stands where a file is needed; remove it, or name another file",
}

_conf_arguments: list[str] = []


class UserError(Exception):
    """Something that the user can repair: what was found, what was expected, how to repair it."""


class ConfigError(UserError):
    """A bad YAML file, key or `--set`."""


class ArtefactError(UserError):
    """A file that passes between stages is missing, broken, or made with other settings."""


def remember_conf(arguments: Sequence[str]) -> None:
    """Keep the `--conf` and `--set` of this process, so that `command_for` can repeat them."""
    _conf_arguments[:] = arguments


def remembered_conf() -> list[str]:
    """What `remember_conf` keeps."""
    return list(_conf_arguments)


def command_for(script: str, *arguments: str) -> str:
    """The command line that runs `script` with this process's own `--conf` and `--set`.

    Args:
        script: a module such as `preprocessing.audio_logmel`, or `main.py`.
        arguments: further arguments; they are quoted for the shell.
    """
    start = [python(), script] if script.endswith(".py") else [python(), "-m", script]
    return shlex.join([*start, *_conf_arguments, *arguments])


def python() -> str:
    """What to type for this interpreter: `python` where its environment is active, `.venv/bin/python` elsewhere."""
    if shutil.which("python") == sys.executable:
        return "python"
    running = Path(sys.executable)
    return str(running.relative_to(Path.cwd())) if running.is_relative_to(Path.cwd()) else str(running)


def disk_error_reason(error: OSError) -> str | None:
    """Why the disk refused, with its repair; None when the error is not one of the disk's."""
    number = error.errno
    if number is None:  # h5py hides the number in its text
        number = next((n for n in _DISK_ERRORS if f"errno = {n}," in str(error)), None)
    return None if number is None else _DISK_ERRORS.get(number)


def command(main: Main) -> Command:
    """Decorate a script's `main(argv)`: bad input ends in one line on stderr and exit code 2."""

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        try:
            code = main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
        except BrokenPipeError:  # `... | head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 141
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here", file=sys.stderr)
            code = 130
        except OSError as error:
            reason = disk_error_reason(error)
            if reason is None:
                raise
            where = error.filename or "while writing"
            again = shlex.join([python(), *sys.orig_argv[1:]])
            print(f"error: {where}: {reason}, then run again: {again}", file=sys.stderr)
            code = 2
        if code:
            raise SystemExit(code)

    return run


def positive(text: str) -> int:
    """An argparse type: a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text}")
    return int(text)


def existing_folder(path: Path, key: str, repair: str) -> Path:
    """`path` if it is a folder.

    Raises:
        UserError: it is not; the message names the YAML key and the repair.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise UserError(f"{key}: folder {path} {found}; {repair}")
    return path


def check_free_disk(folder: Path, need_bytes: float, key: str) -> None:
    """Make sure that the disk of `folder` (which need not exist yet) has room.

    Raises:
        UserError: it has less; the message names the YAML key that chooses the folder.
    """
    standing = next(p for p in [folder.absolute(), *folder.absolute().parents] if p.exists())
    free = shutil.disk_usage(standing).free
    if need_bytes > free:
        raise UserError(
            f"{folder}: needs {need_bytes / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; free some space, or name "
            f"another folder with --set {key}=DIR"
        )
