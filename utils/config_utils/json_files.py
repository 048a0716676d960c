"""A strict JSON reader with limits, for untrusted files.

Python's own reader accepts duplicate keys (the last one wins) and NaN, and has no limit of size or depth.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

# Far larger than any file of settings or notes, far smaller than memory.
_MAX_BYTES = 16 * 2**20
_MAX_DEPTH = 64
_MAX_DIGITS = 20  # of a whole number: 64 bits


def read_json(path: Path, *, allow_nan: bool = False) -> Any:
    """Read the value in a JSON file.

    Args:
        path: a file in UTF-8.
        allow_nan: also accept NaN and Infinity, with which Python writes numbers that are not finite.
    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not a regular file, too large, not UTF-8, or `parse_json` refuses it.
    """
    return parse_json(read_text_file(path, _MAX_BYTES), allow_nan=allow_nan)


def read_text_file(path: Path, max_bytes: int) -> str:
    """Read a file of UTF-8 text, with or without a byte order mark.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is not a regular file (reading a pipe would wait), larger than `max_bytes`, or not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"is {'a folder' if path.is_dir() else 'a pipe or a device'}, expected a file")
    with path.open("rb") as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"has {path.stat().st_size} bytes, expected at most {max_bytes}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte {content[error.start]:#04x} at position {error.start}") from None


def parse_json(text: str, *, allow_nan: bool = False) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: not JSON, a duplicate key, a number beyond 64 bits, a lone surrogate (text that cannot be written
            as UTF-8), more than 64 levels, or, without `allow_nan`, NaN and Infinity.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=float if allow_nan else _finite,
            parse_constant=float if allow_nan else _refuse_constant,
        )
    except RecursionError:
        raise ValueError(f"nested more than {_MAX_DEPTH} levels deep") from None
    check_plain(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice[:80]!r} occurs twice; keep one")
    return result


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise ValueError(f"a whole number of {len(digits.lstrip('-'))} digits, expected at most {_MAX_DIGITS}")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is larger than any float")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def check_plain(value: Any) -> None:
    """Check that plain values can be traversed by recursion, and written again.

    Raises:
        ValueError: more than 64 levels, or a lone surrogate in a text.
    """
    unchecked = [(value, 1)]  # a stack of our own, since the recursion limit is what is checked here
    while unchecked:
        found, depth = unchecked.pop()
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} levels deep")
        if isinstance(found, str) and not found.isascii():
            try:
                found.encode()
            except UnicodeEncodeError:
                raise ValueError(f"half of a surrogate pair in {found[:80]!a}") from None
        elif isinstance(found, dict):
            unchecked += [(inner, depth + 1) for pair in found.items() for inner in pair]
        elif isinstance(found, list):
            unchecked += [(inner, depth + 1) for inner in found]
