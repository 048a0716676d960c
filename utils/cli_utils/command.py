"""The frame of every script's `main`.

Exit codes: 0 done; 1 done, but `--strict` found something; 2 bad input, or a disk or folder that cannot be used (one
line, no traceback); 70 a fault of the program (one line, the traceback in a log); 71 the machine failed: memory, input
and output, network; 130 interrupted; 141 the reader of the output has closed it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from utils.cli_utils.faults import report
from utils.cli_utils.streams import escaping_streams

Main = Callable[[Sequence[str] | None], int | None]


class Command(Protocol):
    """A script's `main`, wrapped: it returns when all is well and exits otherwise."""

    def __call__(self, argv: Sequence[str] | None = None) -> None:
        """Run with these arguments; None: those of the process."""


def command(main: Main) -> Command:
    """Decorate a script's `main(argv)`: any error ends in one line on stderr and an exit code.

    Texts that the terminal cannot show, or that would command it, are printed escaped.
    """

    @functools.wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        with escaping_streams():
            try:
                code = main(argv)
                if sys.stdout is not None:
                    sys.stdout.flush()  # a full disk or a closed pipe shows here, not at exit
            except KeyboardInterrupt:
                print("interrupted; the same command goes on from here", file=sys.stderr)
                code = 130
            except BaseException as error:
                # a panic in a library that is written in Rust (tokenizers, safetensors) is no Exception
                if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                    raise
                # chained: a test that did not expect it sees the cause; the interpreter prints nothing of it
                raise SystemExit(report(error)) from error
        if code:
            raise SystemExit(code)

    return run
