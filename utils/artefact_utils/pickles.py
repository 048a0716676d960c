"""Pickles of plain containers and numpy arrays; reading one never runs code from it.

A file holds two pickles, one after the other: the data, as `pickle.load` of any other program finds it, and the
notes: format version, the settings that made it, the command that makes it again.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.files import read_file
from utils.artefact_utils.ownership import Known, known_pickle
from utils.artefact_utils.pickled_arrays import Refused
from utils.artefact_utils.unpickling import Unpickler
from utils.cli_utils import ArtefactError


def dump_pickle(path: Path, data: Any, notes: dict[str, Any], known: Known | None = known_pickle) -> None:
    """Write `data` and the notes on how it was made, complete or not at all.

    Args:
        path: of the file.
        data: plain containers and arrays.
        notes: `format_version` first, by which the file is known as one of this project.
        known: as `replacing` takes it.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    with replacing(path, known) as beside, beside.open("wb") as stream:
        pickle.dump(data, stream, protocol=5)
        pickle.dump(notes, stream, protocol=5)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _refuse_arrays(notes: Any) -> None:
    """Make sure that notes can be compared: an array compares value by value, and is then neither equal nor not.

    Raises:
        Refused: they hold an array.
    """
    waiting = [notes]
    while waiting:
        note = waiting.pop()
        if isinstance(note, np.ndarray):
            raise Refused("its notes hold an array")
        if isinstance(note, dict):
            waiting += note.values()
        elif isinstance(note, list | tuple):
            waiting += note


def load_pickle(path: Path, repair: str) -> tuple[Any, dict[str, Any]]:
    """The data and the notes of a pickle; notes are empty in a file of another program.

    Args:
        path: the file.
        repair: the command that writes it, for messages.
    Raises:
        ArtefactError: no such file, not a pickle, or one that holds anything but numpy arrays and plain
            containers.
        UnreadableError: the disk or its permissions refuse to read it.
    """
    unpickler = Unpickler(read_file(path, repair))
    try:
        with _without_collector():  # which would go over all that was built, again and again
            data = unpickler.load()
            notes = unpickler.load() if unpickler.at < len(unpickler.data) else {}
            _refuse_arrays(notes)
    except Refused as error:
        reason = " ".join(str(error).split())
        raise ArtefactError(
            f"{path}: refused: {reason}; expected numpy arrays and plain containers alone; write it again: {repair}"
        ) from error
    except (ValueError, TypeError, LookupError, struct.error, MemoryError, OverflowError) as error:
        raise ArtefactError(
            f"{path}: not a complete pickle ({str(error) or type(error).__name__}); write it again: {repair}"
        ) from error
    return data, notes if isinstance(notes, dict) else {}
