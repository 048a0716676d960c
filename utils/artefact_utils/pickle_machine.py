"""The plain half of a pickle machine: bytes of the file, stack, memo, texts and numbers.

Memory is bounded by the size of the file: a pickle of 15 bytes can make Python's own unpickler allocate gigabytes.
"""

from __future__ import annotations

import struct
from typing import Any

from utils.artefact_utils.pickled_arrays import PickledArray, Refused

# What is built of a file may take so many bytes for each of the file's, and this much beside.
_BYTES_PER_BYTE = 32
_BYTES_BESIDE = 16 * 2**20
_MARK_BYTES = 64
_MISSING = object()


class PickleMachine:
    """Stack and memo over the bytes of a file; a method an opcode."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self.data = data
        self.at = 0  # where the next value begins
        self._room = _BYTES_BESIDE + _BYTES_PER_BYTE * len(data)
        self._content = 2 * len(data)  # bytes of arrays; protocol 2 spells them as texts first
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: list[Any] = []

    def _take(self, count: int) -> bytes:
        start = self.at
        self.at = end = start + count
        if end > len(self.data):
            raise ValueError("it ends before it is complete")
        return self.data[start:end]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _line(self) -> str:
        end = self.data.index(b"\n", self.at)
        return self._take(end + 1 - self.at)[:-1].decode()

    def spend(self, count: int) -> None:
        """Account for memory that the file's own bytes do not hold.

        Raises:
            Refused: there is none left.
        """
        self._room -= count
        if self._room < 0:
            raise Refused("it is larger in memory than its size on disk accounts for")

    def spend_content(self, count: int) -> None:
        """Account for bytes of an array or a text.

        Raises:
            Refused: they are more than the file has.
        """
        self._content -= count
        if self._content < 0:
            raise Refused("its arrays hold more bytes than the file")

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        self._room += _MARK_BYTES
        items = self._stack
        self._stack = self._marked.pop()
        return items

    def mark(self) -> None:
        """Begin what `since_mark` returns."""
        self.spend(_MARK_BYTES)
        self._marked.append(self._stack)
        self._stack = []

    def pop(self) -> None:
        """Drop the last value, or the last mark."""
        if self._stack:
            self._stack.pop()
        else:
            self.since_mark()

    def drop_marked(self) -> None:
        """Drop what was pushed since the last mark, as the pickle of a tuple in itself does."""
        self.since_mark()

    def memoize(self) -> None:
        """Store the last value in the memo, at the next index."""
        self._memo.append(self._stack[-1])

    def put(self, size: int) -> None:
        """Store the last value in the memo; the next `size` bytes hold its index."""
        index = self._number(size)
        gap = index - len(self._memo)
        if gap > 0:
            self.spend(8 * gap)
            self._memo += [_MISSING] * gap
        self._memo[index : index + 1] = [self._stack[-1]]

    def get(self, index: int) -> None:
        """Push a value of the memo."""
        value = self._memo[index]
        if type(value) is PickledArray and value.array is not None:
            value = value.array
        elif value is _MISSING:
            raise ValueError("it refers to a value that it does not hold")
        self._stack.append(value)

    def get_near(self) -> None:
        """Push a value of the memo; one byte holds its index."""
        index = self.data[self.at]
        self.at += 1
        self.get(index)

    def get_far(self) -> None:
        """Push a value of the memo; four bytes hold its index."""
        self.get(self._number(4))

    def constant(self, value: bool | None) -> None:
        """Push None, True or False."""
        self._stack.append(value)

    def small_integer(self, size: int) -> None:
        """Push the number in the next `size` bytes."""
        self._stack.append(self._number(size))

    def integer(self, size: int) -> None:
        """Push the signed number in the next `size` bytes."""
        self._stack.append(int.from_bytes(self._take(size), "little", signed=True))

    def long_integer(self) -> None:
        """Push a signed number whose size is in the next byte.

        Raises:
            Refused: it has more than 64 bits and a sign, which no reader expects.
        """
        size = self._number(1)
        if size > 9:
            raise Refused(f"it holds a whole number of {size} bytes")
        self.integer(size)

    def real(self) -> None:
        """Push a float64."""
        self._stack.append(struct.unpack(">d", self._take(8))[0])

    def short_text(self) -> None:
        """Push a text of less than 256 bytes."""
        size = self.data[self.at]
        self.at += 1
        self._stack.append(str(self._take(size), "utf-8", "surrogatepass"))

    def text(self, size: int) -> None:
        """Push a text whose length is in the next `size` bytes."""
        self._stack.append(str(self._take(self._number(size)), "utf-8", "surrogatepass"))

    def byte_text(self, size: int) -> None:
        """Push bytes whose length is in the next `size` bytes."""
        self._stack.append(self._take(self._number(size)))

    def byte_array(self) -> None:
        """Push a bytearray."""
        self._stack.append(bytearray(self._take(self._number(8))))

    def protocol(self) -> None:
        """Check the version.

        Raises:
            Refused: it is above 5.
        """
        version = self._number(1)
        if version > 5:
            raise Refused(f"it is a pickle of protocol {version}, expected 2 to 5")

    def frame(self) -> None:
        """Pass over the size of a frame: all of the file is in memory."""
        self._take(8)
