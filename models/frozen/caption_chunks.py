"""The vectors of captions while they are made: a temporary file for each chunk, written by any process."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from models.frozen.text import FrozenTextEncoder, encode_captions
from utils.artefact_utils import Caption, write_unfinished
from utils.executors import Advance, Failed, Held

CHUNK = 4096


class CaptionWork(NamedTuple):
    """Writes the temporary file of a chunk of captions.

    Attributes:
        folder: of the files.
        notes: of each file; one of other notes is not reused.
        encoder: of the captions.
        batch_size: captions a batch.
    """

    folder: Path
    notes: dict[str, Any]
    encoder: Held[FrozenTextEncoder]
    batch_size: int

    def __call__(self, chunk: Sequence[Caption], advance: Advance) -> list[Failed]:
        """Embed these captions; none of them fails."""
        texts = [caption.raw_text for caption in chunk]
        rows = next(encode_captions(self.encoder(), texts, self.batch_size, len(texts)))
        vectors = {caption.tid: row for caption, row in zip(chunk, rows, strict=True)}
        write_unfinished(self.folder / name_of(chunk), vectors, self.notes)
        advance(len(chunk))
        return []


def chunks_of(captions: Sequence[Caption]) -> list[Sequence[Caption]]:
    """Cut captions into chunks; the batches of a chunk depend on all of its captions, and on no others."""
    return [captions[start : start + CHUNK] for start in range(0, len(captions), CHUNK)]


def name_of(chunk: Sequence[Caption]) -> str:
    """The name of the temporary file of a chunk."""
    digest = hashlib.blake2b("".join(caption.tid for caption in chunk).encode(), digest_size=8)
    return f"part-{digest.hexdigest()}.pkl"


def remove_chunks(folder: Path) -> None:
    """Remove the temporary files; the vectors are in the file that they were made for."""
    shutil.rmtree(folder, ignore_errors=True)
