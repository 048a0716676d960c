"""The embeddings of the sound files below a folder, kept so that a later search embeds only what has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.cli_utils import ArtefactError

FORMAT_VERSION = 1


class FileEmbedding(NamedTuple):
    """What became of a file, and how the file was then."""

    size: int
    mtime_ns: int
    embedding: NDArray[np.float32] | None  # (E,); None: it was refused
    reason: str  # why it was refused; empty for one that was not


def folder_embeddings_file(beside: Path, folder: Path) -> Path:
    """Where the embeddings of a folder are kept.

    Args:
        beside: the folder of the weights.
        folder: of the sounds; its whole path tells two of one name apart.
    """
    whole = str(folder.resolve())
    name = re.sub(r"[^\w.-]", "_", folder.resolve().name)[:40] or "root"
    digest = hashlib.blake2b(whole.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()
    return beside / f"folder_{name}_{digest}.pkl"


def write_folder_embeddings(path: Path, files: Mapping[str, FileEmbedding], made_with: Mapping[str, str]) -> None:
    """Write the embeddings of a folder.

    Args:
        path: of `folder_embeddings_file`.
        files: path relative to the folder -> what became of it.
        made_with: what the embeddings depend on, such as the weights.
    """
    data = {name: tuple(file) for name, file in files.items()}
    dump_pickle(path, data, {"format_version": FORMAT_VERSION, **made_with})


def read_folder_embeddings(path: Path, made_with: Mapping[str, str], width: int) -> dict[str, FileEmbedding]:
    """The files that were embedded with the same weights; empty where there are none.

    Args:
        path: of `folder_embeddings_file`.
        made_with: as they were written.
        width: E.
    Raises:
        UnreadableError: the disk or its permissions refuse to read it.
        ArtefactError: it is broken.
    """
    if not path.exists():
        return {}
    repair = f"remove {path}: the folder is embedded again"
    data, notes = load_pickle(path, repair)
    if notes != {"format_version": FORMAT_VERSION, **made_with}:
        return {}
    if not isinstance(data, dict) or not all(_is_entry(name, row, width) for name, row in data.items()):
        raise ArtefactError(f"{path}: holds no embeddings of {width} numbers a file; {repair}")
    return {name: FileEmbedding(*row) for name, row in data.items()}


def _is_entry(name: object, row: object, width: int) -> bool:
    if not isinstance(name, str) or not isinstance(row, tuple | list) or len(row) != len(FileEmbedding._fields):
        return False
    size, mtime_ns, embedding, reason = row
    if type(size) is not int or type(mtime_ns) is not int or not isinstance(reason, str):
        return False
    if embedding is None:
        return bool(reason)
    return isinstance(embedding, np.ndarray) and embedding.dtype == np.float32 and embedding.shape == (width,)
