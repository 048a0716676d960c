"""The embeddings of clips that are searched: an HDF5 file of one (N, E) array, mapped, never read whole.

They are embedded and written some thousands at a time, so that a killed command loses no more than these.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.hdf5 import attributes_in, mapped_bytes, open_hdf5, reading, replacing_hdf5
from utils.artefact_utils.hdf5_arrays import StrangeArrayError, check_shape, hard_links, place_of
from utils.cli_utils import ArtefactError

FORMAT_VERSION = 1
_NAME = "embeddings"
Array = NDArray[np.float32]


class Piece(NamedTuple):
    """Some clips, one after the other."""

    clips: int
    embed: Callable[[], Array]  # -> (clips, E) float32


def write_mapped_embeddings(
    path: Path, pieces: Sequence[Piece], made_with: Mapping[str, str], advance: Callable[[int], object]
) -> None:
    """Embed clips and write the file; pieces that a killed command has written are not embedded again.

    Args:
        path: of the file; the pieces lie in a hidden folder beside it until it is complete.
        pieces: all clips, in order.
        made_with: what the embeddings depend on, such as the weights.
        advance: called with the number of clips that are finished.
    """
    notes = _notes(made_with)
    digest = hashlib.blake2b(json.dumps(notes, sort_keys=True).encode(), digest_size=8).hexdigest()
    folder = path.with_name(f".{path.stem}-{digest}")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    start = 0
    for piece in pieces:
        files.append(folder / f"{start:010d}.npy")
        if not files[-1].is_file():
            with replacing(files[-1]) as beside, beside.open("wb") as stream:
                np.save(stream, piece.embed().astype(np.float32, copy=False), allow_pickle=False)
        start += piece.clips
        advance(piece.clips)
    _assemble(path, files, start, notes)
    for left in path.parent.glob(f".{path.stem}-{'[0-9a-f]' * 16}"):  # also those of other weights
        shutil.rmtree(left)


def read_mapped_embeddings(path: Path, made_with: Mapping[str, str], repair: str) -> Array | None:
    """Map the embeddings; None: there is no file, or it was made with something else.

    Args:
        path: of the file.
        made_with: as it was written.
        repair: what to do about a broken file, for messages.
    Returns:
        (N, E) float32, read-only.
    Raises:
        ArtefactError: the file is broken.
        UnreadableError: the disk or its permissions refuse to read it.
    """
    if not path.exists():
        return None
    with open_hdf5(path, repair) as file:
        if attributes_in(file, path, repair) != _notes(made_with):
            return None
        try:
            with reading(path, repair):
                if _NAME not in hard_links(file):
                    raise StrangeArrayError(f"it holds no '{_NAME}'")
                place = place_of(file, _NAME, path.stat().st_size)
                check_shape(place, 2)
                if place.offset is None or place.dtype != np.float32:
                    raise StrangeArrayError(f"'{_NAME}' is {place.dtype}, expected plain float32")
        except StrangeArrayError as error:
            raise ArtefactError(f"{path}: {error}; {repair}") from error
    content = mapped_bytes(path)[place.offset : place.offset + place.nbytes]
    return content.view(np.float32).reshape(place.shape)


def _notes(made_with: Mapping[str, str]) -> dict[str, str]:
    return {"format_version": str(FORMAT_VERSION), **made_with}


def _assemble(path: Path, files: Sequence[Path], clips: int, notes: Mapping[str, str]) -> None:
    with replacing_hdf5(path) as (file, disk):
        table = None
        start = 0
        for name in files:
            block = np.load(name, allow_pickle=False)
            if table is None:
                table = file.create_dataset(_NAME, (clips, block.shape[1]), "f4")
            table[start : start + len(block)] = block
            disk.check()
            start += len(block)
        file.attrs.update(notes)
