"""Features of several settings side by side: no run overwrites what another one was trained on.

The first file of a kind has the plain name, such as `development_audio_logmels.hdf5`. One of another front-end, audio
model or text model has a mark before its ending, `development_audio_logmels-1f0a5b6c.hdf5`. Readers choose
a file by its attributes; the mark only makes the names differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MODEL_LETTERS = 40
_NO_NAME = re.compile(r"[^A-Za-z0-9_.]+")


def mark_of(settings: Mapping[str, Any]) -> str:
    """Return the mark of some settings: the last component of the model's name, if any, and a digest."""
    digest = hashlib.blake2b(json.dumps(dict(settings), sort_keys=True).encode(), digest_size=4).hexdigest()
    model = _NO_NAME.sub("_", re.split(r"[/:]", str(settings.get("model", "")).rstrip("/"))[-1])[:_MODEL_LETTERS]
    return f"{model}-{digest}" if model else digest


def beside(path: Path, mark: str) -> Path:
    """Return the name with a mark before its suffix."""
    return path.with_name(f"{path.stem}-{mark}{path.suffix}")


def all_beside(path: Path) -> list[Path]:
    """Return the plain name, also where no such file exists, and the existing files with a mark in their name."""
    marked = re.compile(rf"{re.escape(path.stem)}-(?:[A-Za-z0-9_.]+-)?[0-9a-f]{{8}}{re.escape(path.suffix)}")
    if not path.parent.is_dir():
        return [path]
    return [path, *sorted(other for other in path.parent.iterdir() if marked.fullmatch(other.name))]
