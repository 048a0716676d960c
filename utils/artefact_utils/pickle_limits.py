"""What no honest pickle of arrays and containers holds: keys that take for ever to hash, containers without end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from utils.artefact_utils.pickled_arrays import Refused

MAX_DEPTH = 100
# A container that is referred to from several places counts at each.
_ITEMS_PER_BYTE = 16
_ITEMS_BESIDE = 1_000_000
_KEY_PARTS = 16  # of a tuple that is a key: its hash is computed anew each time
_ATOMS = frozenset({str, bytes, int, float, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})


def check_keys(keys: Iterable[Any]) -> None:
    """Make sure that these can be hashed in a moment.

    Raises:
        Refused: one is no text, number, or short tuple of such.
    """
    for key in keys:
        if type(key) not in _ATOMS and not (
            type(key) is tuple and len(key) <= _KEY_PARTS and all(type(part) in _ATOMS for part in key)
        ):
            raise Refused(f"it holds a key of type {type(key).__name__}, expected texts and numbers")


def check_nesting(value: Any, size: int, unfinished: frozenset[type]) -> None:
    """Look at each container of `value` once.

    Args:
        value: what was read.
        size: bytes of the file.
        unfinished: types that must not occur in a value.

    Raises:
        Refused: a container holds itself, is nested too deeply, or containers are referred to from more
            places than the file's size allows.
    """
    limit = _ITEMS_BESIDE + _ITEMS_PER_BYTE * size
    counted: dict[int, int] = {}  # id of a container -> items in it, nested ones included
    opened: dict[int, list[Any]] = {}
    todo: list[Any] = [value]
    while todo:
        item = todo[-1]
        number = id(item)
        if number in counted or type(item) not in _CONTAINERS:
            todo.pop()
        elif number in opened:
            inner = opened.pop(number)
            counted[number] = len(item) + sum(counted[id(part)] for part in inner)
            if counted[number] > limit:
                raise Refused("it holds the same containers at too many places")
        else:
            inner = _inner_containers(item, unfinished)
            if len(opened) >= MAX_DEPTH:
                raise Refused(f"it holds containers nested more than {MAX_DEPTH} deep")
            if any(id(part) in opened or part is item for part in inner):
                raise Refused("it holds a container that holds itself")
            opened[number] = inner
            todo += inner
    if type(value) in unfinished:
        raise Refused("it is no value")


def _inner_containers(item: Any, unfinished: frozenset[type]) -> list[Any]:
    parts = item.values() if type(item) is dict else item
    kinds = set(map(type, parts))
    if kinds & unfinished:
        raise Refused("it holds a function, a dtype, or an array without content")
    return [part for part in parts if type(part) in _CONTAINERS] if kinds & _CONTAINERS else []
