"""Values and texts as messages show them: short, whatever a file held."""

from __future__ import annotations

import reprlib


def shortened(text: str, limit: int = 200) -> str:
    """Cut a text to about `limit` characters, saying how many it had."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def short_repr(value: object) -> str:
    """Show a value as Python writes it, without the inner parts of a large one; never walks all of it."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 8
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlong = 40
