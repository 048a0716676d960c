"""A reader of pickles that knows plain containers and numpy arrays, and nothing that could be called."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from utils.artefact_utils.pickle_limits import check_keys, check_nesting
from utils.artefact_utils.pickle_machine import PickleMachine
from utils.artefact_utils.pickled_arrays import PickledArray, PickledDtype, Refused, array_of, scalar_of

_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")  # numpy 1 and 2
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_BUILTINS = ("__builtin__", "builtins")  # protocol 2, and 3 and later
# Functions and classes that a pickle of arrays and containers may name -> the case in `_called`.
_GLOBALS: dict[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # how protocol 2 spells bytes
    **{(module, "_reconstruct"): "reconstruct" for module in _MULTIARRAY},
    **{(module, "scalar"): "scalar" for module in _MULTIARRAY},
    **{(module, "_frombuffer"): "frombuffer" for module in _NUMERIC},
    # how protocols 2 and 3 spell sets, byte arrays and the empty bytes
    **{(module, name): name for module in _BUILTINS for name in ("bytes", "bytearray", "set", "frozenset")},
}
_ARRAY_BYTES = 128  # of an array object, without its content
# How protocol 5 goes on after the bytes of a vector, when dtype and order were named before: memoize the
# bytes; get the dtype; make and memoize (length,); get the order; make and memoize the arguments; call; memoize the
# array.
_REST_OF_VECTOR = re.compile(rb"\x94(?:h(.)|j(.{4}))(?:K(.)|M(..))\x85\x94(?:h(.)|j(.{4}))t\x94R\x94", re.DOTALL)


class _Global:
    """A function or class that the pickle names; nothing of it is ever called."""

    def __init__(self, name: str) -> None:
        self.name = name


class Unpickler(PickleMachine):
    """Reads one value after another from bytes in memory."""

    def load(self) -> Any:
        """The next value.

        Raises:
            Refused: it is not made of plain containers and arrays alone, is nested too deeply, or larger than the
                file can account for.
            Exception: the pickle is broken: IndexError, struct.error, UnicodeDecodeError, ...
        """
        self._stack, self._marked, self._memo = [], [], []
        data, handlers = self.data, _HANDLERS
        if data[self.at : self.at + 1] != b"\x80":
            raise ValueError("it does not begin as one of protocol 2 to 5")
        while True:
            code = data[self.at]
            self.at += 1
            handler = handlers[code]
            if handler is not None:
                handler(self)
            elif code == _STOP:
                break
            else:
                raise Refused(f"it uses the instruction 0x{code:02x} of pickle")
        value = self._stack.pop()
        if self._stack or self._marked:
            raise ValueError("it ends before it is complete")
        check_nesting(value, len(data), _UNFINISHED)
        return value

    def byte_array(self) -> None:
        """Push a bytearray; or the whole vector, where it is one of many.

        A file of 250 000 vectors is mostly this: eleven instructions read as one halve its time.
        """
        super().byte_array()
        rest = _REST_OF_VECTOR.match(self.data, self.at)
        below = self._marked[-1] if self._marked else []
        if rest is None or len(self._stack) != 1 or not below or type(below[-1]) is not _Global:
            return
        dtype, size, order = (int.from_bytes(rest[n] or rest[n + 1], "little") for n in (1, 3, 5))
        arguments = (self._stack[0], self._memo[dtype], (size,), self._memo[order])
        self.spend(2 * 64)
        below[-1] = self._called(below[-1].name, arguments)
        self._memo += (arguments[0], arguments[2], arguments, below[-1])
        self.since_mark()
        self.at = rest.end()

    def push_tuple(self, items: tuple[Any, ...]) -> None:
        """Push a tuple."""
        self.spend(40 + 8 * len(items))
        self._stack.append(items)

    def marked_tuple(self) -> None:
        """Make a tuple of what was pushed since the mark."""
        self.push_tuple(tuple(self.since_mark()))

    def short_tuple(self, size: int) -> None:
        """Make a tuple of the last `size` values."""
        below = len(self._stack) - size
        if below < 0:
            raise ValueError("a tuple without its items")
        items = tuple(self._stack[below:])
        del self._stack[below:]
        self.push_tuple(items)

    def empty(self, kind: type, size: int) -> None:
        """Push an empty container that takes `size` bytes."""
        self.spend(size)
        self._stack.append(kind())

    def append(self) -> None:
        """Append the last value to the list below it."""
        item = self._stack.pop()
        self._target(list).append(item)

    def appends(self) -> None:
        """Append what was pushed since the mark."""
        items = self.since_mark()
        self._target(list).extend(items)

    def set_item(self) -> None:
        """Set a key of the dict below."""
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def set_items(self) -> None:
        """Set the keys that were pushed since the mark."""
        self._set_items(self.since_mark())

    def _set_items(self, items: list[Any]) -> None:
        keys = items[::2]
        check_keys(keys)
        self.spend(48 * len(keys))
        self._target(dict).update(zip(keys, items[1::2], strict=True))

    def add_items(self) -> None:
        """Add to the set below what was pushed since the mark."""
        items = self.since_mark()
        check_keys(items)
        self.spend(32 * len(items))
        self._target(set).update(items)

    def frozen_set(self) -> None:
        """Make a frozenset of what was pushed since the mark."""
        items = self.since_mark()  # which is another stack than the one to push to
        self._stack.append(self._set_of(frozenset, items))

    def _set_of(self, kind: Callable[[Any], Any], items: list[Any]) -> Any:
        check_keys(items)
        self.spend(216 + 48 * len(items))
        return kind(items)

    def _target(self, kind: type) -> Any:
        target = self._stack[-1]
        if type(target) is not kind:
            raise ValueError(f"found {type(target).__name__}, expected {kind.__name__}")
        return target

    def _push_global(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it names a function by what is no text")
        known = _GLOBALS.get((module, name))
        if known is None:
            raise Refused(f"it names {module}.{name}")
        self._stack.append(_Global(known))

    def named(self) -> None:
        """Push the function that two lines of text name."""
        self._push_global(self._line(), self._line())

    def stack_named(self) -> None:
        """Push the function that two texts on the stack name."""
        name, module = self._stack.pop(), self._stack.pop()
        self._push_global(module, name)

    def reduce(self) -> None:
        """Replace the call of a named function by our own code for it."""
        arguments, called = self._stack.pop(), self._stack.pop()
        if type(called) is not _Global or type(arguments) is not tuple:
            raise Refused("it calls what is no function")
        self._stack.append(self._called(called.name, arguments))

    def _called(self, name: str, arguments: tuple[Any, ...]) -> Any:
        self.spend(_ARRAY_BYTES)
        if name == "frombuffer":
            self.spend_content(len(arguments[0]))
            return array_of(*arguments)
        if name == "reconstruct":
            return PickledArray()
        if name == "dtype":
            return PickledDtype(arguments)
        if name == "scalar":
            return scalar_of(arguments)
        if name == "encode":
            return self._encoded(*arguments)
        if name in ("set", "frozenset") and len(arguments) == 1 and type(arguments[0]) is list:
            return self._set_of(set if name == "set" else frozenset, arguments[0])
        if name in ("bytes", "bytearray") and all(type(part) in (bytes, bytearray) for part in arguments):
            self.spend_content(sum(map(len, arguments)))
            return (bytes if name == "bytes" else bytearray)(*arguments)
        raise Refused(f"it calls {name} in a way that no pickle of arrays does")

    def _encoded(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise Refused("it encodes what is no text")
        self.spend_content(len(text))
        return text.encode("latin-1")

    def build(self) -> None:
        """Set the state of an array or a dtype."""
        state = self._stack.pop()
        value = self._stack[-1]
        if type(value) is PickledDtype:
            value.set_state(state)
        elif type(value) is PickledArray and value.array is None:
            self._stack[-1] = value.set_state(state)
            self.spend_content(self._stack[-1].nbytes)
        else:
            raise Refused(f"it sets the state of a value of type {type(value).__name__}")


_UNFINISHED: frozenset[type] = frozenset({PickledArray, PickledDtype, _Global})
_STOP = ord(".")
_Handler = Callable[[Unpickler], None]


def _on(method: Callable[..., None], *arguments: Any) -> _Handler:
    return lambda machine: method(machine, *arguments)


_OPCODES: dict[bytes, _Handler] = {
    b"(": Unpickler.mark,
    b"0": Unpickler.pop,
    b"1": Unpickler.drop_marked,
    b"\x94": Unpickler.memoize,
    b"q": _on(Unpickler.put, 1),
    b"r": _on(Unpickler.put, 4),
    b"h": Unpickler.get_near,
    b"j": Unpickler.get_far,
    b"N": _on(Unpickler.constant, None),
    b"\x88": _on(Unpickler.constant, True),
    b"\x89": _on(Unpickler.constant, False),
    b"J": _on(Unpickler.integer, 4),
    b"K": _on(Unpickler.small_integer, 1),
    b"M": _on(Unpickler.small_integer, 2),
    b"\x8a": Unpickler.long_integer,
    b"G": Unpickler.real,
    b"\x8c": Unpickler.short_text,
    b"X": _on(Unpickler.text, 4),
    b"\x8d": _on(Unpickler.text, 8),
    b"C": _on(Unpickler.byte_text, 1),
    b"B": _on(Unpickler.byte_text, 4),
    b"\x8e": _on(Unpickler.byte_text, 8),
    b"\x96": Unpickler.byte_array,
    b"t": Unpickler.marked_tuple,
    b")": _on(Unpickler.short_tuple, 0),
    b"\x85": _on(Unpickler.short_tuple, 1),
    b"\x86": _on(Unpickler.short_tuple, 2),
    b"\x87": _on(Unpickler.short_tuple, 3),
    b"]": _on(Unpickler.empty, list, 56),
    b"}": _on(Unpickler.empty, dict, 64),
    b"\x8f": _on(Unpickler.empty, set, 216),
    b"a": Unpickler.append,
    b"e": Unpickler.appends,
    b"s": Unpickler.set_item,
    b"u": Unpickler.set_items,
    b"\x90": Unpickler.add_items,
    b"\x91": Unpickler.frozen_set,
    b"c": Unpickler.named,
    b"\x93": Unpickler.stack_named,
    b"R": Unpickler.reduce,
    b"b": Unpickler.build,
    b"\x80": Unpickler.protocol,
    b"\x95": Unpickler.frame,
}
_HANDLERS: list[_Handler | None] = [_OPCODES.get(bytes([code])) for code in range(256)]
