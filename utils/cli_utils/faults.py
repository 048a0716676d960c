"""What every command does with an exception: one line, an exit code, and a log where the program may be at fault."""

from __future__ import annotations

import contextlib
import datetime
import io
import os
import platform
import re
import select
import sys
import tempfile
import traceback
from typing import TextIO

from utils.cli_utils.errors import ConfigError, UserError, disk_error_reason, machine_error_reason
from utils.cli_utils.repeating import python
from utils.cli_utils.texts import printable, shell_join, shortened

BAD_INPUT = 2
FAULT = 70  # EX_SOFTWARE of sysexits.h
MACHINE = 71  # EX_OSERR
_MAX_LINE = 2000
CLOSED_PIPE = 141  # what a shell reports of a command that SIGPIPE ended

# A worker of a DataLoader hands on its error with the whole traceback in the text.
_FROM_A_LOADER = re.compile(r"Caught \w+ in .*Original Traceback .*?\n(?:\w+\.)*\w+: (.*)\Z", re.DOTALL)
_ALLOCATION = re.compile(r"not enough memory|can't allocate memory|CUDA out of memory|std::bad_alloc")


def report(error: BaseException) -> int:
    """Say on standard error what went wrong, in one line (bad keys: one line each).

    Returns:
        The exit code.
    """
    closed = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and not _takes_more(stream)]
    for stream in closed:  # what is written at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if closed and isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    code, line = _described(error)
    with contextlib.suppress(OSError):  # stderr is closed: only the exit code can report it
        print(f"error: {line}", file=sys.stderr, flush=True)
    return code


def _described(error: BaseException) -> tuple[int, str]:
    if isinstance(error, UserError):
        message = str(error)
        if (handed_on := _FROM_A_LOADER.match(message)) is not None:
            message = handed_on[1].strip()
        return BAD_INPUT, message if isinstance(error, ConfigError) else _without_middle(printable(message))
    if isinstance(error, MemoryError) or _ALLOCATION.search(str(error)):
        what = f"the memory is used up ({_kind(error)}); close other programs, or choose smaller batches and models"
        return MACHINE, f"{what}; {_where_to_look(error)}"
    if isinstance(error, OSError):
        where = (
            printable(os.fsdecode(error.filename))
            if isinstance(error.filename, str | bytes)
            else "while reading or writing"
        )
        again = f"then run again: {shell_join([python(), *sys.orig_argv[1:]])}"
        if (reason := disk_error_reason(error)) is not None:
            return BAD_INPUT, f"{where}: {reason}, {again}"
        if (reason := machine_error_reason(error)) is not None:
            return MACHINE, f"{where}: {reason}, {again}"
    return FAULT, f"this is a fault of the program: {_kind(error)}; {_where_to_look(error)}; please report it with that"


def _without_middle(line: str) -> str:
    """Cut the middle out of a long line, such as one with a value of a megabyte: the repair is at its end."""
    return line if len(line) <= _MAX_LINE else f"{line[: _MAX_LINE // 2]} ... {line[-_MAX_LINE // 2 :]}"


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    text = shortened(printable(str(error).strip().split("\n")[0]))
    return f"{name}: {text}" if text else name


def _where_to_look(error: BaseException) -> str:
    """Write the log; where no folder takes it, it goes to standard error."""
    text = _log_of(error)
    try:
        number, path = tempfile.mkstemp(prefix="fault-", suffix=".log", text=True)
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as stream:  # noqa: PTH123 - a descriptor
            stream.write(text)
    except OSError:  # no folder for temporary files, or it is full
        print(text, file=sys.stderr)
        return "the traceback is above"
    return f"the traceback is in {path}"


def _log_of(error: BaseException) -> str:
    """What a report of a fault needs: when, what ran, on what, and the traceback with those of workers."""
    torch = sys.modules.get("torch")
    facts = {
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shell_join(sys.orig_argv),
        "folder": os.getcwd(),  # noqa: PTH109 - as text
        "python": sys.version,
        "system": platform.platform(),
        "torch": getattr(torch, "__version__", "not imported"),
    }
    lines = [f"{name}: {value}" for name, value in facts.items()]
    return "\n".join([*lines, "", "".join(traceback.format_exception(error))])


def _takes_more(stream: TextIO) -> bool:
    """Whether a standard stream can still be written to: its reader is there, its disk has room."""
    try:
        stream.flush()
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
    except io.UnsupportedOperation:  # no stream of the system: a test reads it
        return True
    except OSError:
        return False
    return not any(state & select.POLLERR for _, state in poll.poll(0))
