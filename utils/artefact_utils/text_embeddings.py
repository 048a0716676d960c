"""Caption embeddings: a pickle `tid -> (E,) float32` with notes on the model that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.beside import beside, mark_of
from utils.artefact_utils.files import UnreadableError, is_there
from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.cli_utils import ArtefactError

FORMAT_VERSION = 1


class TextEmbeddings(NamedTuple):
    """Vectors by caption, and what made them."""

    vectors: dict[str, NDArray[np.float32]]  # tid -> (E,)
    notes: dict[str, Any]
    path: Path  # of the file

    def table(self, tids: Sequence[str], repair: str) -> NDArray[np.float32]:
        """(len(tids), E) float32, the rows of `tids`.

        Raises:
            ArtefactError: a tid has no vector, or a vector is not finite.
        """
        missing = [tid for tid in tids if tid not in self.vectors]
        if missing:
            raise ArtefactError(
                f"{self.path}: no embedding for {len(missing)} of {len(tids)} captions, the first is tid {missing[0]}; "
                f"add them: {repair}"
            )
        table = np.stack([self.vectors[tid] for tid in tids]).astype(np.float32, copy=False)
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        if bad.size:
            raise ArtefactError(
                f"{self.path}: the embedding of tid {tids[bad[0]]} holds NaN or infinite values; "
                f"remove the file and write it again: {repair}"
            )
        return table


def text_embeddings_beside(path: Path, model: str) -> Path:
    """The name of the vectors of a model where those of another one have the plain name."""
    return beside(path, mark_of({"model": model}))


def place_of_text_embeddings(path: Path, model: str) -> Path:
    """Return the path of a model's vectors: the plain name, or one beside it if that is another model's.

    Raises:
        UnreadableError: the disk or its permissions refuse to read the file that is there.
    """
    own = text_embeddings_beside(path, model)
    if is_there(own):
        return own
    try:
        found = read_text_embeddings(path, None, "").notes.get("model") if is_there(path) else None
    except UnreadableError:
        raise
    except ArtefactError:  # broken: it is made again
        found = None
    return path if found in (None, model) else own


def write_text_embeddings(path: Path, vectors: Mapping[str, NDArray[np.float32]], notes: dict[str, Any]) -> None:
    """Write `tid -> (E,) float32`, complete or not at all.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    dump_pickle(path, dict(vectors), {"format_version": FORMAT_VERSION, **notes})


def write_unfinished(path: Path, vectors: Mapping[str, NDArray[np.float32]], notes: dict[str, Any]) -> None:
    """Write the vectors made so far, so that a killed run can resume; an existing file is replaced."""
    dump_pickle(path, dict(vectors), {"format_version": FORMAT_VERSION, **notes}, known=None)


def read_text_embeddings(path: Path, model: str | None, repair: str) -> TextEmbeddings:
    """The caption embeddings of a file.

    Args:
        path: the pickle; where there is one of `model` beside it, that one is read.
        model: the text model this run wants; None accepts any.
        repair: the command that writes it, for messages.
    Raises:
        ArtefactError: missing, broken, not `tid -> vector`, or made with another model.
    """
    if model is not None and is_there(own := text_embeddings_beside(path, model)):
        path = own
    vectors, notes = load_pickle(path, repair)
    if not isinstance(vectors, dict) or not all(_is_vector(v) for v in vectors.values()):
        raise ArtefactError(f"{path}: expected a dict tid -> (E,) float32; write it again: {repair}")
    widths = {v.shape for v in vectors.values()}
    if len(widths) > 1 or any(len(shape) != 1 for shape in widths):
        raise ArtefactError(f"{path}: vectors of shapes {sorted(widths)}, expected one (E,); write it again: {repair}")
    found = notes.get("model")
    if model is not None and found != model:
        raise ArtefactError(f"{path}: text model is {found}, this run wants {model}; write it again: {repair}")
    return TextEmbeddings(vectors, notes, path)


def _is_vector(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"
