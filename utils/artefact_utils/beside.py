"""Features that other settings made lie beside each other: no run overwrites what another one was trained on.

The first file of a kind has the plain name, such as `development_audio_logmels.hdf5`. One of another front-end, audio
model or text model has a mark before its ending, `development_audio_logmels-1f0a5b6c.hdf5`. A file is found by what it
says it was made with; the mark keeps the names apart.
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
    """What keeps the files of different settings apart: the last part of the model's name, if any, and a digest."""
    digest = hashlib.blake2b(json.dumps(dict(settings), sort_keys=True).encode(), digest_size=4).hexdigest()
    model = _NO_NAME.sub("_", re.split(r"[/:]", str(settings.get("model", "")).rstrip("/"))[-1])[:_MODEL_LETTERS]
    return f"{model}-{digest}" if model else digest


def beside(path: Path, mark: str) -> Path:
    """The name with a mark before its ending."""
    return path.with_name(f"{path.stem}-{mark}{path.suffix}")


def all_beside(path: Path) -> list[Path]:
    """The plain name, whether there is such a file or not, and the files whose names differ from it by a mark."""
    marked = re.compile(rf"{re.escape(path.stem)}-(?:[A-Za-z0-9_.]+-)?[0-9a-f]{{8}}{re.escape(path.suffix)}")
    if not path.parent.is_dir():
        return [path]
    return [path, *sorted(other for other in path.parent.iterdir() if marked.fullmatch(other.name))]
