"""Values and texts as messages show them: short, and without control characters that a file may have held."""

from __future__ import annotations

import re
import reprlib
import shlex
import sys
from collections.abc import Iterable

# Control characters (among them ESC and CSI, which begin commands to a terminal), what turns the direction of writing,
# line separators, and the lone surrogates by which Python represents bytes of a file name that are not UTF-8.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE = re.compile(f"[{_CONTROLS}]")
_UNSAFE_IN_A_LINE = re.compile(f"[{_CONTROLS}\t\n]")


def printable(text: str) -> str:
    """Write a text from a file, such as a caption or a file name, in one harmless line, ESC as backslash x1b."""
    return text if text.isprintable() else _UNSAFE_IN_A_LINE.sub(_escaped, text)


def showable(text: str, encoding: str | None) -> str:
    """Escape what a terminal must not be sent, and what an encoding cannot hold; lines and tabs stay.

    Args:
        text: what is printed.
        encoding: of the terminal or log; None: any character will do.
    """
    if not text.isprintable():
        text = _UNSAFE.sub(_escaped, text)
    if encoding is None or text.isascii():
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def shell_join(arguments: Iterable[str]) -> str:
    """Quote a command line that can be pasted into a shell, also where an argument holds what cannot be shown."""
    return " ".join(_quoted(argument) for argument in arguments)


def shortened(text: str, limit: int = 200) -> str:
    """Cut a text to about `limit` characters, saying how many it had."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def short_repr(value: object) -> str:
    """Show a value as Python writes it, without the inner parts of a large one; never walks all of it."""
    return _SHORT.repr(value)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _quoted(argument: str) -> str:
    shown = showable(printable(argument), getattr(sys.stdout, "encoding", None))
    if shown == argument:
        return shlex.quote(argument)
    return "$'" + "".join(_ansi_c(character) for character in argument) + "'"


def _ansi_c(character: str) -> str:
    """One character inside $'...', as bash, zsh and POSIX 2024 read it."""
    if character in "'\\":
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    # by its bytes: what a file name is made of, in every locale
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 8
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlong = 40
