"""Pickles of plain containers and numpy arrays; reading one never runs code from it.

A file holds two pickles, one after the other: the data, as `pickle.load` of any other program finds it, and the
notes: format version, the settings that made it, the command that makes it again.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from utils.artefact_utils.atomic import replacing
from utils.cli_utils import ArtefactError

# What pickled numpy arrays and scalars name, in protocols 2 to 5 and in numpy 1 and 2.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how protocol 2 spells bytes
    # how protocols 2 and 3 spell sets, and 2 the empty bytes
    ("__builtin__", "bytes"),
    ("__builtin__", "set"),
    ("__builtin__", "frozenset"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Builds numpy arrays and plain containers; refuses every other class or function by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)


def dump_pickle(path: Path, data: Any, notes: dict[str, Any]) -> None:
    """Write `data` and the notes on how it was made, complete or not at all."""
    with replacing(path) as beside, beside.open("wb") as stream:
        pickle.dump(data, stream, protocol=5)
        pickle.dump(notes, stream, protocol=5)


def load_pickle(path: Path, repair: str) -> tuple[Any, dict[str, Any]]:
    """The data and the notes of a pickle; notes are empty in a file of another program.

    Args:
        path: the file.
        repair: the command that writes it, for messages.
    Raises:
        ArtefactError: no such file, not a pickle, or one that holds anything but numpy arrays and plain
            containers.
    """
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; write it: {repair}")
    stream = io.BytesIO(path.read_bytes())
    try:
        data = _RestrictedUnpickler(stream).load()
        notes = _RestrictedUnpickler(stream).load() if stream.tell() < stream.getbuffer().nbytes else {}
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())
        raise ArtefactError(
            f"{path}: refused: {reason}; expected numpy arrays and plain containers alone; write it again: {repair}"
        ) from error
    except Exception as error:  # whatever the unpickler stumbles over
        raise ArtefactError(
            f"{path}: not a complete pickle ({error or type(error).__name__}); write it again: {repair}"
        ) from error
    return data, notes if isinstance(notes, dict) else {}
