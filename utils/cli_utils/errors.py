"""The errors that a user can repair, and what the numbers of the operating system mean."""

from __future__ import annotations

import errno
from collections.abc import Mapping

# Trouble with a disk, a name or permissions is the user's to repair, not a fault to trace.
_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "no permission; make it readable and writable, or name another folder",
    errno.EPERM: "no permission; make it readable and writable, or name another folder",
    errno.EROFS: "the file system is read-only; name another folder",
    errno.EFBIG: "the file is too large for this disk; name another folder",
    errno.EEXIST: "there is a file where a folder is needed; remove it, or name another folder",
    errno.ENOTDIR: "there is a file where a folder is needed; remove it, or name another folder",
    errno.EISDIR: "there is a folder where a file is needed; remove it, or name another file",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle; repair them",
    errno.ENXIO: "is no file that can be read or written; name another one",
    errno.ENODEV: "is no file that can be read or written; name another one",
    errno.EOPNOTSUPP: "the file system cannot do this; name a folder on another one",
    errno.ETXTBSY: "another program uses this file; end it",
    errno.EBUSY: "another program or a mount uses it; free it",
    errno.EMLINK: "too many links; name a folder on another file system",
    errno.ENOLCK: "the file system gives no locks; name a folder on another one, or have locks enabled",
}
# Nothing in the input can repair these.
_MACHINE_ERRORS = {
    errno.EIO: "the disk reports an input/output error; see the system's log and save what is on it",
    errno.ESTALE: "the network drive has lost this file (stale handle); mount it again",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n), or use fewer workers",
    errno.ENFILE: "the whole system has too many open files; end other programs",
    errno.ENOMEM: "the memory is used up; close other programs, or use fewer workers",
    errno.EAGAIN: "another program holds it, or there are too many processes (ulimit -u); wait, or use fewer workers",
    errno.ETIMEDOUT: "no answer in time; see that the network or the network drive works",
    errno.ECONNREFUSED: "the connection was refused; see that the other side runs",
    errno.ECONNRESET: "the connection was broken off; see that the other side runs",
    errno.ENETUNREACH: "the network cannot be reached; see that it works",
    errno.EHOSTUNREACH: "the computer cannot be reached; see that the network works",
    errno.EADDRINUSE: "the network address is in use; end the program that holds it",
    errno.EREMOTEIO: "the network drive reports an input/output error; see that it works",
}


class UserError(Exception):
    """Something that the user can repair: what was found, what was expected, how to repair it."""


class ConfigError(UserError):
    """A bad YAML file, key or `--set`."""


class ArtefactError(UserError):
    """A file that passes between stages is missing, broken, or made with other settings."""


def disk_error_reason(error: OSError) -> str | None:
    """Why the disk refused, with its repair; None when the error is not one of the disk's."""
    return _DISK_ERRORS.get(_number_of(error, _DISK_ERRORS))


def machine_error_reason(error: OSError) -> str | None:
    """What failed in the machine or the network, with what to do; None when the error is not of that kind."""
    return _MACHINE_ERRORS.get(_number_of(error, _MACHINE_ERRORS))


def _number_of(error: OSError, known: Mapping[int, str]) -> int:
    if error.errno is not None:
        return error.errno
    # h5py hides the number in its text
    return next((number for number in known if f"errno = {number}," in str(error)), 0)
