"""Checks that a file exists, is a regular file and is readable, each with its own error.

A file that is missing or broken is written again; one that the disk or its permissions refuse must not count
as either, since hours of work would be computed anew and replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from utils.cli_utils import ArtefactError

_NO_LOCKS = "its file system grants no locks; set HDF5_USE_FILE_LOCKING=FALSE in the environment"
_REASONS = {
    errno.EACCES: "no permission to read it; make it and its folder readable",
    errno.EPERM: "no permission to read it; make it and its folder readable",
    errno.ENOLCK: _NO_LOCKS,
    errno.ENOTSUP: _NO_LOCKS,
    errno.EAGAIN: "another program has it locked; wait for its end",
    errno.EIO: "the disk cannot read it (input/output error); check the disk, or copy the file from a backup",
    errno.ESTALE: "the network disk has lost it (stale file handle); mount the disk again",
    errno.EMFILE: "this process has too many files open; raise the limit with ulimit -n",
    errno.ENFILE: "the machine has too many files open; close some programs",
    errno.ENAMETOOLONG: "its name is too long for the disk; rename it",
}


class UnreadableError(ArtefactError):
    """A file exists, or may exist, but the disk or its permissions do not let it be read."""


def errno_of(error: OSError) -> int | None:
    """The number of an error of the operating system, which h5py hides in its text; None where there is none."""
    if error.errno is not None:
        return error.errno
    hidden = re.search(r"errno = (\d+),", str(error))
    return int(hidden[1]) if hidden else None


def unreadable(path: Path, number: int) -> UnreadableError:
    """Return the error for a number of the operating system."""
    return UnreadableError(f"{path}: {_REASONS.get(number, f'cannot be read: {os.strerror(number)}')}, then run again")


def is_there(path: Path) -> bool:
    """Whether something of this name is there, be it a file or not; a link to nothing is not.

    Raises:
        UnreadableError: the disk or its permissions refuse the check.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise unreadable(path, error.errno or errno.EIO) from error
    return True


def check_is_file(path: Path, advice: str) -> None:
    """Check that there is a file of this name; its content is not read.

    Args:
        path: its name.
        advice: what to do where there is none, such as "write it: COMMAND".

    Raises:
        ArtefactError: there is none, or a folder, a pipe or a device.
        UnreadableError: the disk or its permissions refuse the check.
    """
    if not is_there(path):
        raise ArtefactError(f"{path}: no such file; {advice}")
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        found = "is a folder" if stat.S_ISDIR(mode) else "is a pipe, a socket or a device"
        raise ArtefactError(f"{path}: {found}, expected a file; {advice}")


@contextlib.contextmanager
def reading_bytes(path: Path) -> Iterator[None]:
    """Opens and reads of a file that is there.

    Raises:
        UnreadableError: the disk or its permissions refuse.
    """
    try:
        yield
    except OSError as error:
        number = errno_of(error)
        if number is None:
            raise
        raise unreadable(path, number) from error


def read_file(path: Path, repair: str) -> bytes:
    """All bytes of a file.

    Args:
        path: its name.
        repair: the command that writes it, for messages.

    Raises:
        ArtefactError: as `check_is_file`.
        UnreadableError: the disk or its permissions refuse.
    """
    check_is_file(path, f"write it: {repair}")
    with reading_bytes(path):
        return path.read_bytes()
