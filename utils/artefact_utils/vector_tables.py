"""A table of vectors, filled row by row: in memory, or mapped from disk when it is too large for that."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.cli_utils import ArtefactError, check_free_disk

# A larger table is mapped from a file, so that several trials on one machine leave each other room.
MEMORY_BYTES = 2 * 2**30
# A longer one is no vector of an encoder.
MAX_VECTOR_BYTES = 2**24


class VectorTable:
    """(N, D) float32, whose D is that of the first vector; rows that were never put are zero."""

    def __init__(self, rows: int, path: Path, repair: str, scratch: Path) -> None:
        """Prepare `rows` rows.

        Args:
            rows: N.
            path: where the vectors come from, for messages.
            repair: what to do about bad ones, for messages.
            scratch: a folder for the table, if it is too large for memory.
        """
        self._rows, self._path, self._repair, self._scratch = rows, path, repair, scratch
        self._keys: dict[int, str] = {}
        self._table: NDArray[np.float32] | None = None

    def put(self, row: int, key: str, value: Any) -> None:
        """Copy a vector (D,), or one (1, D), float16, float32 or float64, into a row.

        Raises:
            ArtefactError: anything else, or another D than that of the first.
        """
        vector = value[0] if value.ndim == 2 and len(value) == 1 else value
        if vector.ndim != 1 or vector.dtype.kind != "f" or not vector.size:
            frames = "; these are frames, average them first" if vector.ndim == 2 else ""
            raise ArtefactError(
                f"{self._path}: the embedding of {key!r} is {value.dtype} {value.shape}, expected floats (D,){frames}; "
                f"{self._repair}"
            )
        if self._table is None:
            self._table = self._made(len(vector))
        if len(vector) != self._table.shape[1]:
            first = next(iter(self._keys.values()))
            raise ArtefactError(
                f"{self._path}: the embedding of {key!r} has {len(vector)} dimensions, that of {first!r} has "
                f"{self._table.shape[1]}, expected one dimension for all; {self._repair}"
            )
        self._keys[row] = key
        if vector.dtype.itemsize > 4:
            with np.errstate(over="ignore"):  # `checked` reports what became infinite
                vector = vector.astype(np.float32)
        self._table[row] = vector

    def checked(self) -> NDArray[np.float32]:
        """The table.

        Raises:
            ArtefactError: no row was put, or one holds NaN or infinite values.
        """
        if self._table is None:
            raise ArtefactError(f"{self._path}: holds no embedding of these clips; {self._repair}")
        step = max(1, 2**24 // self._table.shape[1])
        for start in range(0, self._rows, step):
            rows = self._table[start : start + step]
            if not np.isfinite(rows.sum(dtype=np.float64)):
                row = start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
                raise ArtefactError(
                    f"{self._path}: the embedding of {self._keys[row]!r} holds NaN or infinite values (as float32); "
                    f"{self._repair}"
                )
        return self._table

    def _made(self, width: int) -> NDArray[np.float32]:
        need = 4 * self._rows * width
        if need <= MEMORY_BYTES:
            return np.zeros((self._rows, width), np.float32)
        self._scratch.mkdir(parents=True, exist_ok=True)
        check_free_disk(self._scratch, need, "data.features")
        with tempfile.TemporaryFile(dir=self._scratch) as stream:  # no name: freed with the mapping
            return np.memmap(stream, np.float32, mode="w+", shape=(self._rows, width))
