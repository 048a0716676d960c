"""The errors that a user can repair, and what the numbers of the operating system mean."""

from __future__ import annotations

import errno

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


class UserError(Exception):
    """Something that the user can repair: what was found, what was expected, how to repair it."""


class ConfigError(UserError):
    """A bad YAML file, key or `--set`."""


class ArtefactError(UserError):
    """A file that passes between stages is missing, broken, or made with other settings."""


def disk_error_reason(error: OSError) -> str | None:
    """Why the disk refused, with its repair; None when the error is not one of the disk's."""
    number = error.errno
    if number is None:  # h5py hides the number in its text
        number = next((n for n in _DISK_ERRORS if f"errno = {n}," in str(error)), None)
    return None if number is None else _DISK_ERRORS.get(number)
