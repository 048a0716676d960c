"""Try many inputs in a forked process that has little memory and time, and may crash."""

import faulthandler
import json
import os
import resource
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

MEMORY = 1 << 30  # bytes that an input may take on top of the process itself
SECONDS = 10  # of computing


class Failure(NamedTuple):
    """An input, by its number, that was neither read nor refused in a line."""

    number: int
    what: str


class TooSlowError(BaseException):
    """An input took more than its seconds; no `except Exception` keeps it."""


def failures_of(
    inputs: Sequence[bytes], path: Path, read: Callable[[], object], refusals: tuple[type[Exception], ...]
) -> list[Failure]:
    """Write each input to `path` and read it; a process that dies goes on behind the input that ended it.

    Args:
        inputs: what the file holds, one after the other.
        path: the file.
        read: reads it.
        refusals: what it may raise.
    """
    found: list[Failure] = []
    start = 0
    while start < len(inputs):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _try(inputs[start:], start, path, read, refusals, writer)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as stream:
            lines = [json.loads(line) for line in stream]
        _, status = os.waitpid(child, 0)
        begun = [number for number, what in lines if what is None]
        found += [Failure(number, what) for number, what in lines if what is not None]
        if os.waitstatus_to_exitcode(status) == 0:
            break
        found.append(Failure(begun[-1], f"the process ended with {os.waitstatus_to_exitcode(status)}"))
        start = begun[-1] + 1
    return found


def _try(
    inputs: Sequence[bytes],
    start: int,
    path: Path,
    read: Callable[[], object],
    refusals: tuple[type[Exception], ...],
    writer: int,
) -> None:
    """Tell the number of each input before it is read, and what went wrong; never returns."""
    _limit()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for number, content in enumerate(inputs, start):
        path.write_bytes(content)
        os.write(writer, f"{json.dumps([number, None])}\n".encode())
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        what = None
        try:
            read()
        except refusals as error:
            if "Traceback" in str(error):
                what = f"a refusal with a traceback: {str(error)[:1500]}"
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            lines = traceback.format_exception(error)
            what = f"{type(error).__name__}: {error}"[:300] + "\n" + "".join(lines)[-1500:]
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if what is not None:
            os.write(writer, f"{json.dumps([number, what])}\n".encode())
    os._exit(0)


def _limit() -> None:
    faulthandler.disable()  # a crash is told by the parent
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY, MEMORY))

    def stop(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGPROF, stop)
