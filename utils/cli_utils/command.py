"""What every command shares: errors in one line, exit codes, and the next command to run.

Exit codes: 0 done; 1 done, but `--strict` found something; 2 bad input (one line, no traceback);
130 interrupted.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from utils.cli_utils.errors import UserError, disk_error_reason
from utils.cli_utils.repeating import python

Main = Callable[[Sequence[str] | None], int | None]


class Command(Protocol):
    """A script's `main`, wrapped: it returns when all is well and exits otherwise."""

    def __call__(self, argv: Sequence[str] | None = None) -> None:
        """Run with these arguments; None: those of the process."""


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
