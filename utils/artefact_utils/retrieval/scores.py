"""The score matrix of a split: an HDF5 file with scores, ids and, if they are from one run, the embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.hdf5 import attributes_in, open_hdf5, reading, replacing_hdf5
from utils.artefact_utils.hdf5_arrays import (
    ArrayPlace,
    StrangeArrayError,
    check_shape,
    hard_links,
    place_of,
    strange,
)
from utils.cli_utils import ArtefactError
from utils.config_utils import parse_json

FORMAT_VERSION = 1
Array = NDArray[np.float32]
# Bytes of scores to read at a time, for a matrix of any size.
_BLOCK_BYTES = 64 * 2**20
# HDF5 chunks: with whole rows as chunks, reading columns (audio to text) would read the whole file for each block.
_TILE = (256, 128)
_TEXTS = 256  # ids to read at a time


def write_scores(
    path: Path,
    ids: Mapping[str, Sequence[str]],
    blocks: Iterable[tuple[int, Array]],
    embeddings: Mapping[str, Array],
    notes: Mapping[str, str],
    dtype: str = "f4",
) -> None:
    """Write the scores of every caption against every clip, complete or not at all.

    Args:
        path: the HDF5 file.
        ids: `tid` (Q) and `fid` (C), in the order of rows and columns.
        blocks: (first row, (q, C) float32) in any order, together all rows.
        embeddings: `text` (Q, E) and `audio` (C, E) float32; empty for an ensemble, which has none.
        notes: the checkpoint and the split of the scores.
        dtype: of the scores in the file, f4 or f8.
    """
    shape = (len(ids["tid"]), len(ids["fid"]))
    with replacing_hdf5(path) as (file, disk):
        tile = (min(_TILE[0], shape[0]), min(_TILE[1], shape[1]))
        scores = file.create_dataset("scores", shape, dtype, chunks=tile)
        for start, block in blocks:
            scores[start : start + len(block)] = block
            disk.check()
        for name, values in ids.items():
            file.create_dataset(name, data=list(values), dtype=h5py.string_dtype())
        for name, table in embeddings.items():
            file.create_dataset(f"{name}_embeddings", data=table)
        file.attrs.update({"format_version": FORMAT_VERSION, **notes})


class ScoreReader:
    """Reads the score matrix of a file in blocks of rows or of columns."""

    def __init__(self, path: Path, repair: str) -> None:
        """Open the file.

        Raises:
            ArtefactError: missing, not HDF5, or not a score matrix.
        """
        self._file = open_hdf5(path, repair)
        self._path, self._repair = path, repair
        try:
            self.notes = attributes_in(self._file, path, repair)
            self._places = self._checked_places()
            with reading(path, repair):
                self.tids = _texts_of(self._file, "tid", path.stat().st_size)
                self.fids = _texts_of(self._file, "fid", path.stat().st_size)
            self._refuse_other_shapes()
        except StrangeArrayError as error:
            self._file.close()
            raise strange(path, error, repair) from error
        except BaseException:
            self._file.close()
            raise

    def _checked_places(self) -> dict[str, ArrayPlace]:
        """Check that the file is a score matrix, and return the arrays of scores and embeddings."""
        with reading(self._path, self._repair):
            names = hard_links(self._file)
            if {"scores", "tid", "fid"} - names or self.notes.get("format_version") != str(FORMAT_VERSION):
                raise ArtefactError(
                    f"{self._path}: not a score matrix of format {FORMAT_VERSION}; write it again: {self._repair}"
                )
            size = self._path.stat().st_size
            tables = names & {"scores", "text_embeddings", "audio_embeddings"}
            return {name: place_of(self._file, name, size) for name in tables}

    def _refuse_other_shapes(self) -> None:
        rows = {"scores": (len(self.tids), len(self.fids)), "text_embeddings": (len(self.tids),)}
        rows["audio_embeddings"] = (len(self.fids),)
        for name, place in self._places.items():
            check_shape(place, 2)
            if place.shape[: len(rows[name])] != rows[name]:
                found = f"{len(self.tids)} tid and {len(self.fids)} fid"
                raise StrangeArrayError(f"'{name}' is {place.dtype} {place.shape}, which {found} do not fit")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def text_to_audio(self) -> StoredScores:
        """Return the scores with captions as queries and clips as candidates."""
        return StoredScores(self._file["scores"], transposed=False)

    def audio_to_text(self) -> StoredScores:
        """Return the scores with clips as queries and captions as candidates."""
        return StoredScores(self._file["scores"], transposed=True)

    def left_out(self) -> set[str]:
        """Return the fids of the split without scores: clips that a frozen encoder could not embed.

        Raises:
            ArtefactError: the note is not a list.
        """
        try:
            return set(map(str, parse_json(self.notes.get("left_out", "[]"))))
        except (ValueError, TypeError, RecursionError) as error:
            raise ArtefactError(f"{self._path}: left_out is no list of fids; write it again: {self._repair}") from error

    def embeddings(self, name: str) -> Array:
        """Read the `text` (Q, E) or `audio` (C, E) float32 embeddings that the scores were computed from.

        Raises:
            ArtefactError: the file has none, as the scores of an ensemble.
        """
        if f"{name}_embeddings" not in self._places:
            raise ArtefactError(
                f"{self._path}: holds scores without {name}_embeddings, which are needed here; take the scores of a "
                f"single run: {self._repair}"
            )
        with reading(self._path, self._repair):
            table: Array = self._file[f"{name}_embeddings"][:]
        return table


def _texts_of(file: h5py.File, name: str, size: int) -> list[str]:
    """Read the (N,) texts of a dataset, a few at a time.

    All N entries of a crafted file may refer to one long text: together they would fill the memory.
    """
    dataset = h5py.Dataset(h5py.h5d.open(file.id, name.encode()))
    if len(dataset.shape or ()) != 1 or h5py.check_string_dtype(dataset.dtype) is None or len(dataset) > size:
        raise StrangeArrayError(f"'{name}' is {dataset.dtype} {dataset.shape}, expected texts (N,)")
    texts: list[str] = []
    length = 0
    for start in range(0, len(dataset), _TEXTS):
        texts += dataset.asstr()[start : start + _TEXTS].tolist()
        length += sum(map(len, texts[start:]))
        if length > size:
            raise StrangeArrayError(f"the texts of '{name}' are longer than the file")
    return texts


class StoredScores:
    """One direction of the score matrix of a file, in blocks of queries: a `ScoreSource` of utils.metric_utils."""

    def __init__(self, scores: h5py.Dataset, *, transposed: bool) -> None:
        self._scores = scores
        self._transposed = transposed

    @property
    def shape(self) -> tuple[int, int]:
        """(queries, candidates)."""
        rows, columns = self._scores.shape
        return (columns, rows) if self._transposed else (rows, columns)

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Yield (first query, (q, candidates) scores) in blocks of whole tiles: each tile is read once."""
        queries, candidates = self.shape
        tile = _TILE[1] if self._transposed else _TILE[0]
        step = max(1, _BLOCK_BYTES // (self._scores.dtype.itemsize * candidates * tile)) * tile
        for start in range(0, queries, step):
            stop = min(start + step, queries)
            if self._transposed:
                yield start, np.ascontiguousarray(self._scores[:, start:stop].T)
            else:
                yield start, self._scores[start:stop]
