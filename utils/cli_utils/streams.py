"""Standard output and error that show every text: what has no letter there, or would command a terminal, escaped."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from utils.cli_utils.texts import showable

# What tqdm moves its bars with: a line drawn again, and whole writes that only go up and down.
_REDRAWN = re.compile(r"\r(?![\r\n])|(?:\r|\n|\x1b\[A)+\Z")


class EscapingStream:
    """A text stream in front of another one.

    Args:
        stream: the terminal, log or pipe behind.
        bars: whether progress bars may redraw their line.
    """

    def __init__(self, stream: TextIO, *, bars: bool = False) -> None:
        self.stream = stream
        self._bars = bars

    def write(self, text: str) -> int:
        """Write a text, escaped; returns its length, as every stream does."""
        start = _REDRAWN.match(text) if self._bars else None
        kept = start[0] if start else ""
        self.stream.write(kept + showable(text[len(kept) :], self.stream.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def escaping_streams() -> Iterator[None]:
    """Put an `EscapingStream` in front of standard output and error while the block runs."""
    out, err = sys.stdout, sys.stderr
    sys.stdout = out and EscapingStream(out)  # None where it was closed
    sys.stderr = err and EscapingStream(err, bars=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def behind(stream: TextIO) -> TextIO:
    """The stream behind an `EscapingStream`, for a writer with colours of its own; it escapes its texts itself."""
    return stream.stream if isinstance(stream, EscapingStream) else stream
