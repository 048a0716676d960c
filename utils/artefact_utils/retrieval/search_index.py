"""An index of embeddings: a file of faiss, and a JSON file beside it that says what it was made of.

The JSON is written last and removed first: where it is, the index is complete. faiss's files hold numbers alone, no
code; the JSON has a digest of samples of the index, so that a truncated, exchanged or damaged one is not opened.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from utils.artefact_utils.atomic import remove_leftovers, replacing, write_json
from utils.artefact_utils.files import check_is_file, reading_bytes
from utils.cli_utils import ArtefactError
from utils.config_utils import Spec, read_json, to_mapping

FORMAT_VERSION = 1
# First bytes of a file of faiss, by kind. Source: faiss 1.15.1, faiss/impl/index_write.cpp.
_MAGIC = {"flat": b"IxFI", "ivf": b"IwFl", "hnsw": b"IHNf", "pq": b"IwPQ"}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG)
_SAMPLES = 64
_SAMPLE_BYTES = 2**14


class SearchIndexNotes(Spec):
    """What an index was made of, how it is searched, and what that was measured to give."""

    format_version: Literal[1] = 1
    made_by: str  # the command
    checkpoint: str  # its label and digest
    clips_digest: str  # of the clips' ids, in their order
    kind: Literal["flat", "ivf", "hnsw", "pq"]
    clips: int
    width: int
    padded_width: int
    lists: int
    sub_width: int
    similarity: Literal["dot", "cosine"]
    effort: int
    recall_at_10: float
    queries: int  # captions that recall was measured with
    ms_per_query: float
    threads: int
    seed: int
    faiss: str  # its version
    bytes: int
    digest: str  # of samples of the index


def notes_file(path: Path) -> Path:
    """The JSON beside an index."""
    return path.with_suffix(".json")


def write_search_index(path: Path, index: Any) -> dict[str, Any]:
    """Write an index, without its notes, which `write_index_notes` adds when it has been measured.

    Args:
        path: of the index, `.faiss`.
        index: of faiss.
    Returns:
        `bytes` and `digest` of the notes.
    """
    import faiss

    notes_file(path).unlink(missing_ok=True)
    remove_leftovers(path)
    with replacing(path) as beside:
        try:
            faiss.write_index(index, str(beside))
        except RuntimeError as error:  # faiss hides the number of a full disk, say, in its text
            number = next((number for number in _DISK_ERRORS if os.strerror(number) in str(error)), errno.EIO)
            raise OSError(number, _reason(error), str(path)) from error
    return {"bytes": path.stat().st_size, "digest": _digest(path)}


def write_index_notes(path: Path, notes: SearchIndexNotes) -> None:
    """Write the JSON beside an index, which makes it complete."""
    write_json(notes_file(path), to_mapping(notes))


def read_index_notes(path: Path, repair: str) -> SearchIndexNotes | None:
    """Read the notes of an index; None: there is no complete one.

    Raises:
        ArtefactError: the JSON is broken.
        UnreadableError: the disk or its permissions refuse to read it.
    """
    notes = notes_file(path)
    if not notes.exists():
        return None
    try:
        with reading_bytes(notes):
            found = read_json(notes)
        if not isinstance(found, dict):
            raise ValueError(f"found a {type(found).__name__}, expected an object")
        return SearchIndexNotes.model_validate(found)
    except ValueError as error:  # pydantic's error is one
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(f"{notes}: not the notes of an index ({reason}); {repair}") from error


def map_search_index(path: Path, notes: SearchIndexNotes, repair: str) -> Any:
    """Map an index: what a search does not look at is not read.

    Args:
        path: of the index.
        notes: of `read_index_notes`.
        repair: what to do about a broken file, for messages.
    Raises:
        ArtefactError: it is missing, truncated, damaged, of another program, or not the one of the notes.
        UnreadableError: the disk or its permissions refuse to read it.
    """
    import faiss

    check_is_file(path, repair)
    with reading_bytes(path):
        size = path.stat().st_size
        if size != notes.bytes:
            raise ArtefactError(f"{path}: has {size} bytes, expected {notes.bytes}: it is not whole; {repair}")
        with path.open("rb") as stream:
            start = stream.read(4)
        if start != _MAGIC[notes.kind] or _digest(path) != notes.digest:
            raise ArtefactError(f"{path}: is damaged, or another file than {notes_file(path).name} is of; {repair}")
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ArtefactError(f"{path}: faiss cannot read it ({_reason(error)}); {repair}") from error
    found = index.ntotal, index.d, index.metric_type
    if found != (notes.clips, notes.padded_width, faiss.METRIC_INNER_PRODUCT):
        wanted = f"{notes.clips} vectors of width {notes.padded_width}"
        raise ArtefactError(f"{path}: holds {index.ntotal} vectors of width {index.d}, expected {wanted}; {repair}")
    return index


def _digest(path: Path) -> str:
    """Of the file's size, start, end and samples between them: reading gigabytes would take longer than a search."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as stream:
        for offset in np.linspace(0, max(0, size - _SAMPLE_BYTES), _SAMPLES).astype(np.int64).tolist():
            stream.seek(offset)
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _reason(error: RuntimeError) -> str:
    """Faiss's own words, without the place in its source."""
    return " ".join(str(error).rpartition("Error: ")[2].split())[:160]
