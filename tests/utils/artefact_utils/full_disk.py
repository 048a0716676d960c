"""Disks with too little room, simulated: tests may run as root, whom nothing is refused."""

import errno
from collections.abc import Callable

from utils.artefact_utils.hdf5 import Disk


class FullFile:
    """Stands for an open file of a disk that has room for so many bytes."""

    def __init__(self, file, room: int, number: int = errno.ENOSPC) -> None:
        self._file, self._room, self._number = file, room, number

    def __getattr__(self, name):
        return getattr(self._file, name)

    def _refuse_beyond(self, size: int) -> None:
        if size > self._room:
            raise OSError(self._number, "refused")

    def write(self, data) -> int:
        self._refuse_beyond(self._file.tell() + len(data))
        return self._file.write(data)

    def truncate(self, size: int) -> int:
        self._refuse_beyond(size)
        return self._file.truncate(size)


class ShortFile(FullFile):
    """Takes a part of what is written, as write(2) may."""

    def __init__(self, file) -> None:
        super().__init__(file, 2**40)

    def write(self, data) -> int:
        return super().write(data[: max(1, len(data) // 3)])


def replace_files(monkeypatch, wrap: Callable) -> None:
    """From now on HDF5 writes to `wrap(file)`."""
    make = Disk.__init__

    def wrapped(self, path):
        make(self, path)
        self._file = wrap(self._file)

    monkeypatch.setattr(Disk, "__init__", wrapped)
