"""A file is complete or absent: written beside, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.artefact_utils.ownership import Known, known_json, refuse_foreign


@contextlib.contextmanager
def replacing(path: Path, known: Known | None = None) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` when the block succeeds, else remove it.

    Readers see the old file or the new one, never a part of it, whenever the writer is killed.

    Args:
        path: of the file.
        known: whether a file that is there already is of this project; None: replace any file, since the folder is one
            that this project makes.

    Raises:
        ForeignFileError: a file that is not is there.
    """
    if known is not None:
        refuse_foreign(path, known)
    path.parent.mkdir(parents=True, exist_ok=True)
    # of a process of one machine: on another one that writes the same file, a process may have the same number
    beside = path.with_name(f".{path.name}.partial-{socket.gethostname()}-{os.getpid()}")
    try:
        yield beside
        with beside.open("rb") as stream:  # the name must not reach the disk before the bytes do
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def see_anew(folder: Path) -> None:
    """Make a network disk show what other machines have written into a folder.

    It may show an older list for a minute, unless this machine itself changes the folder.
    """
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(prefix=".seen-", dir=folder):  # a name, and gone
        pass


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; call it where no other writer is at work."""
    for leftover in path.parent.glob(f".{path.name}.partial-*"):
        leftover.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as indented JSON, complete or not at all.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    with replacing(path, known_json(value) if isinstance(value, dict) else None) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
