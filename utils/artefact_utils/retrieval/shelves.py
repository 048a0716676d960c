"""The shelf of scores of the DCASE 2023 baseline: <split>_xmodal_scores.db, a database of pickles, fid -> {tid: score}.

The format is that of Python's dbm.dumb: a file `.dat` with the values, and a file `.dir` with the position of each.
Both are parsed here, since `shelve` would unpickle the values and so run any code in them.

Source: DCASE 2023 task 6B baseline, postprocessing/xmodal_scores.py; CPython's Lib/dbm/dumb.py.
"""

from __future__ import annotations

import ast
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.pickled_arrays import Refused
from utils.artefact_utils.unpickling import Unpickler
from utils.cli_utils import ArtefactError

_SUFFIXES = (".dat", ".dir", ".bak")
_LINE_BYTES = 1024  # longest line of `.dir`: an id, a position and a size
# First bytes of other databases. Source: gdbm's gdbmconst.h, SQLite's file format.
_OTHERS = {
    b"\xcd\x9a\x57\x13": "a GNU dbm database",
    b"\xce\x9a\x57\x13": "a GNU dbm database",
    b"\xcf\x9a\x57\x13": "a GNU dbm database",
    b"\x13\x57\x9a\xcd": "a GNU dbm database",
    b"\x13\x57\x9a\xce": "a GNU dbm database",
    b"\x13\x57\x9a\xcf": "a GNU dbm database",
    b"SQLi": "an SQLite database",
}
_AGAIN = "write it again with the baseline's postprocessing/xmodal_scores.py"


class ShelvedScores(NamedTuple):
    """The scores of every caption with every clip."""

    scores: NDArray[np.float64]  # (Q, C)
    tids: list[str]  # Q, in the order of the first clip, which is that of the baseline's table
    fids: list[str]  # C


def shelf_of(path: Path) -> Path | None:
    """Return the shelf of a path, which may be its name or one of its files; None if there is none."""
    bases = [path, *([path.with_suffix("")] if path.suffix in _SUFFIXES else [])]
    return next((base for base in bases if all(_file(base, suffix).is_file() for suffix in (".dat", ".dir"))), None)


def other_database(path: Path) -> str | None:
    """Return which other kind of database a file is, in words; None: none."""
    if not path.is_file():
        berkeley = [path.with_name(path.name + suffix) for suffix in (".db", ".pag")]
        return next((f"an ndbm database, {found.name}" for found in berkeley if found.is_file()), None)
    with path.open("rb") as stream:
        return _OTHERS.get(stream.read(4))


def read_shelf(base: Path) -> ShelvedScores:
    """Read the scores of a shelf; the pickle of one clip is in memory at a time.

    Args:
        base: from `shelf_of`, without `.dat`.
    Raises:
        ArtefactError: it is broken, has anything but scores by caption, or clips have scores of different captions.
    """
    data = _file(base, ".dat")
    positions = _index(_file(base, ".dir"), data.stat().st_size)
    tids: list[str] = []
    scores = np.zeros((0, 0))
    with data.open("rb") as stream:
        for column, (fid, (position, size)) in enumerate(positions.items()):
            stream.seek(position)
            group = _group(stream.read(size), f"{data}, clip {fid!r}")
            if not tids:
                tids = list(group)
                scores = np.empty((len(tids), len(positions)))
            if len(group) != len(tids) or any(tid not in group for tid in tids):
                raise ArtefactError(
                    f"{data}, clip {fid!r}: has scores of other captions than clip {next(iter(positions))!r}; {_AGAIN}"
                )
            scores[:, column] = [group[tid] for tid in tids]
    return ShelvedScores(scores, tids, list(positions))


def _file(base: Path, suffix: str) -> Path:
    return base.with_name(base.name + suffix)


def _index(path: Path, data_bytes: int) -> dict[str, tuple[int, int]]:
    """Parse `.dir`: the (position, size) of the value of each fid in a file of `data_bytes` bytes, without overlap."""
    positions: dict[str, tuple[int, int]] = {}
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_LINE_BYTES), b""), 1):
            try:
                key, (position, size) = ast.literal_eval(line.decode("latin-1").strip())
                fid = key.encode("latin-1").decode()
                if not (type(position) is type(size) is int and position >= 0 < size and position + size <= data_bytes):
                    raise ValueError("it is outside of the file of values")
            except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError) as error:
                reason = " ".join(str(error).split())[:80]
                raise ArtefactError(
                    f"{path}, line {number}: not the position of a value ({reason}); {_AGAIN}"
                ) from error
            positions[fid] = (position, size)
    if not positions:
        raise ArtefactError(f"{path}: holds no clips; {_AGAIN}")
    # Overlapping values would let a small file take any amount of memory.
    if sum(size for _, size in positions.values()) > data_bytes:
        raise ArtefactError(f"{path}: its values overlap; {_AGAIN}")
    return positions


def _group(content: bytes, where: str) -> dict[str, float]:
    """Unpickle the scores of a clip by tid, and check that they are finite."""
    unpickler = Unpickler(content)
    try:
        group: Any = unpickler.load()
    except (Refused, ValueError, TypeError, LookupError, struct.error, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArtefactError(f"{where}: not a pickle of plain numbers ({reason}); {_AGAIN}") from error
    if not isinstance(group, dict) or not group:
        raise ArtefactError(f"{where}: found {type(group).__name__}, expected scores by tid; {_AGAIN}")
    for tid, score in group.items():
        if not isinstance(tid, str) or not isinstance(score, float | np.floating) or not np.isfinite(score):
            found = f"{tid!r}: {score!r}"
            raise ArtefactError(f"{where}: found {found[:80]}, expected a tid and a finite number; {_AGAIN}")
    return group
