"""The numpy dtypes and arrays of a pickle, checked before anything is built of them.

numpy's own `__setstate__` believes its state: an object dtype, or a dtype whose state names fields, turns bytes of the
file into pointers. Here a dtype is a pair of texts, and an array is bytes of the file whose count must fit.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Boolean, whole, real and complex numbers, bytes and texts, each with its size.
_CODE = re.compile(r"b1|[iu][1248]|f(2|4|8|16)|c(8|16|32)|[SU][1-9]\d{0,8}")
_MAX_DIMS = 32
_LAST_CODE_POINT = 0x10FFFF


class Refused(Exception):  # noqa: N818 - what happened, in a word
    """The pickle holds, or names, what this project does not load."""


class PickledDtype:
    """A dtype while its pickle is read: first its code, such as f4, then the order of its bytes."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        """Take the arguments of a call of numpy.dtype: code, align, copy.

        Raises:
            Refused: an object, a date, a structure, or no dtype.
        """
        code = arguments[0] if arguments else None
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise Refused(f"it holds an array of dtype {_short(code)}, expected booleans, numbers or texts")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        """Take the order of bytes; everything else of a plain dtype follows from its code.

        Raises:
            Refused: the state holds more than that.
        """
        if not isinstance(state, tuple) or len(state) not in (8, 9) or any(part is not None for part in state[2:5]):
            raise Refused("it holds a dtype with fields, or a shape of its own")
        order, size = state[1], state[5]
        if order not in ("<", ">", "|", "=") or size not in (-1, self.dtype.itemsize):
            raise Refused(f"it holds a dtype {self.dtype.str} of order {_short(order)} and size {_short(size)}")
        self.dtype = self.dtype.newbyteorder(order)


class PickledArray:
    """An array of protocols 2 to 4 between the call that makes it and the state that fills it."""

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None

    def set_state(self, state: Any) -> NDArray[Any]:
        """Take version, shape, dtype, Fortran order and content; the array, which owns its bytes.

        Raises:
            Refused: they do not fit each other.
        """
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("it holds an array whose state is none")
        _, shape, dtype, fortran, content = state
        self.array = array_of(content, dtype, shape, "F" if fortran else "C").copy(order="K")
        return self.array


def array_of(content: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> NDArray[Any]:
    """The array of these bytes, a view of them.

    Args:
        content: bytes or bytearray, exactly as many as the array needs.
        dtype: a PickledDtype.
        shape: a tuple of whole numbers.
        order: C, F, or K with `axes`, as numpy pickles it.
        axes: of order K: which axis each stored one is.

    Raises:
        Refused: they do not fit each other.
    """
    if not isinstance(dtype, PickledDtype) or not isinstance(content, bytes | bytearray):
        raise Refused("it holds an array without a plain dtype or without bytes")
    if not _is_shape(shape) or math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise Refused(f"it holds {len(content)} bytes for an array {dtype.dtype.str} {_short(shape)}")
    flat = np.frombuffer(content, dtype.dtype)
    if flat.dtype.kind == "U" and flat.size:
        points = np.frombuffer(content, np.dtype("u4").newbyteorder(flat.dtype.byteorder))
        if points.max() > _LAST_CODE_POINT:
            raise Refused("it holds a text array with characters that there are not")
    if order == "K" and axes is not None:
        if type(axes) is not tuple or sorted(map(str, axes)) != sorted(map(str, range(len(shape)))):
            raise Refused(f"it holds an array with the axes {_short(axes)}")
        return flat.reshape(shape).transpose(axes)
    if order not in ("C", "F", "K", "A"):
        raise Refused(f"it holds an array of the order {_short(order)}")
    return flat.reshape(shape, order=order)


def _is_shape(shape: Any) -> bool:
    return (
        type(shape) is tuple
        and len(shape) <= _MAX_DIMS
        and all(type(size) is int and 0 <= size < 2**31 for size in shape)
    )


def scalar_of(arguments: tuple[Any, ...]) -> Any:
    """A numpy scalar.

    Args:
        arguments: dtype and bytes.
    """
    if len(arguments) != 2:
        raise Refused("it holds a scalar without a value")
    return array_of(arguments[1], arguments[0], (), "C")[()]


def _short(value: Any) -> str:
    text = ascii(value) if isinstance(value, str | int | tuple | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."
