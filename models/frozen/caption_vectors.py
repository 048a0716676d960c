"""The file of caption vectors, made by any text encoder: resumable, and only of what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.frozen.caption_chunks import CaptionWork, chunks_of, name_of, remove_chunks
from models.frozen.place import EncoderPlace, place_here
from models.frozen.text import TEXT_MODEL_KEY, FrozenTextEncoder
from models.frozen.text_loading import load_frozen_text
from utils.artefact_utils import (
    Caption,
    UnreadableError,
    is_there,
    place_of_text_embeddings,
    read_text_embeddings,
    see_anew,
    text_embeddings_beside,
    write_text_embeddings,
)
from utils.cli_utils import ArtefactError, UserError
from utils.executors import run_chunks
from utils.model_utils import choose_device
from utils.pretrained_utils import find_model, model_revision

_COMPARED = 4  # captions whose adopted vectors are computed again
_ALIKE = 0.999  # cosine; vectors in half precision reach 0.99999, those of another model stay far below

Vectors = dict[str, NDArray[np.float32]]


def write_caption_vectors(
    path: Path,
    captions: Sequence[Caption],
    model: str,
    made_by: str,
    batch_size: int = 64,
    place: EncoderPlace | None = None,
) -> dict[str, Any]:
    """Embed the captions that have no vector yet, and write all.

    Args:
        path: the pickle. Where it holds the vectors of another model, those of this one are written beside it.
        captions: of all splits; `raw_text` is what is embedded.
        model: of `data.text_embeddings`.
        made_by: the command that makes the file again.
        batch_size: captions a batch.
        place: where to compute; None: in this process, on the GPU if there is one.

    Returns:
        The notes of the file: `model`, `revision`, `made_by`, `kind` (of the encoder), `max_tokens` and `truncated`
        (how many captions are longer).

    Raises:
        UserError: the model cannot be loaded.
    """
    find_model(model, TEXT_MODEL_KEY)  # before anything is made of it, so that messages name the key
    notes: dict[str, Any] = {"model": model, "revision": model_revision(model), "made_by": made_by}
    own = text_embeddings_beside(path, model)
    # of the model's own name in any case: whichever model is finished first, the others' are found again
    unfinished = own.with_name(f"{own.name}.unfinished")
    plain, path = path, place_of_text_embeddings(path, model)
    if path != plain and not is_there(path):
        megabytes = plain.stat().st_size / 1e6
        print(f"{plain} ({megabytes:.1f} MB) holds the vectors of another model; those of {model} go beside it")
    vectors, held_notes = _held(path, notes)
    wanted = {caption.tid for caption in captions}
    if wanted == set(vectors) and is_there(path) and not unfinished.exists():
        print(f"{len(captions)} captions, reused {path}")
        _say_truncated(held_notes)
        return held_notes
    # cut before the files of an interrupted run are looked for: it has cut them alike
    chunks = chunks_of([caption for caption in captions if caption.tid not in vectors])
    left = [chunk for chunk in chunks if not _added(vectors, unfinished / name_of(chunk), chunk, notes)]
    if (missing := sum(map(len, left))) < len(captions):
        print(f"{len(captions) - missing} of {len(captions)} captions are embedded already")
    place = place or place_here(choose_device("auto", "fp32"))
    load = partial(load_frozen_text, model)
    encoder = load(device=place.here)
    truncated = encoder.truncated([caption.raw_text for caption in captions])
    work = CaptionWork(unfinished, dict(notes), place.held(load, encoder), batch_size)
    run_chunks(place.executor, work, left, "captions", noun="caption")
    see_anew(unfinished)
    for chunk in left:
        if not _added(vectors, unfinished / name_of(chunk), chunk, notes):
            raise UserError(f"{unfinished / name_of(chunk)}: was written, and is not seen here yet; run again")
    notes |= {"kind": encoder.kind, "max_tokens": encoder.max_tokens, "truncated": truncated}
    # copied: arrays of several pickles have several equal dtypes, and would be pickled to other bytes
    ordered = {caption.tid: np.array(vectors[caption.tid], np.float32) for caption in captions}
    write_text_embeddings(path, ordered, notes)
    remove_chunks(unfinished)
    print(f"{len(ordered)} captions, wrote {path} ({encoder.width} dimensions, {model})")
    _say_truncated(notes)
    return notes


def adopt_caption_vectors(
    path: Path, captions: Sequence[Caption], vectors: Mapping[str, NDArray[Any]], model: str, made_by: str
) -> int:
    """Write the vectors that another program made of these captions, under our ids.

    Args:
        path: the pickle.
        captions: their `source_id` is the other program's id.
        vectors: other program's id -> (E,), any float type.
        model: of `data.text_embeddings`, which should have made them; where it can be loaded, a few captions are
            embedded again and compared.
        made_by: the command that makes the file again.
    Returns:
        How many captions have no vector, or one that is not finite.
    Raises:
        UserError: the vectors are not those of the model.
    """
    found = {
        caption.tid: np.ascontiguousarray(vector, np.float32)
        for caption in captions
        if (vector := vectors.get(caption.source_id)) is not None and np.isfinite(vector).all()
    }
    compared = [caption for caption in captions if caption.tid in found][:_COMPARED]
    try:
        encoder = load_frozen_text(model)
    except UserError as error:
        print(f"the vectors could not be compared with those of {model}, for whose they are taken: {error}")
        notes: dict[str, Any] = {"model": model, "made_by": made_by}
    else:
        _refuse_others(encoder, compared, found, model)
        notes = {"model": model, "revision": model_revision(model), "made_by": made_by, "kind": encoder.kind}
    write_text_embeddings(path, found, notes)
    return len(captions) - len(found)


def _refuse_others(encoder: FrozenTextEncoder, captions: Sequence[Caption], found: Vectors, model: str) -> None:
    """Refuse vectors that another model made; only directions are compared, since programs may normalise them."""
    for caption in captions:
        given = found[caption.tid]
        if len(given) != encoder.width:
            difference = f"have {len(given)} dimensions, those of {model} {encoder.width}"
        else:
            own = encoder.vectors([caption.raw_text])[0].astype(np.float64)
            cosine = float(own @ given / max(np.linalg.norm(own) * np.linalg.norm(given), 1e-30))
            if cosine > _ALIKE:
                continue
            difference = f"are not those of {model}: the cosine of '{caption.raw_text}' is {cosine:.3f}"
        raise UserError(
            f"the caption vectors {difference}; name the model that made them with --set "
            "data.text_embeddings.model=NAME (the DCASE 2023 baseline: sentence-transformers/all-mpnet-base-v2)"
        )


def _added(vectors: Vectors, path: Path, chunk: Sequence[Caption], wanted: dict[str, Any]) -> bool:
    """Add the vectors of a chunk from its temporary file; False: it is not there, or not whole."""
    found, _ = _held(path, wanted)
    if found.keys() != {caption.tid for caption in chunk}:
        return False
    vectors.update(found)
    return True


def _held(path: Path, wanted: dict[str, Any]) -> tuple[Vectors, dict[str, Any]]:
    """Read the vectors and notes of an earlier run with the same weights; empty if the file is broken or of others."""
    if not is_there(path):
        return {}, {}
    try:
        held = read_text_embeddings(path, wanted["model"], wanted["made_by"])
    except UnreadableError:  # it would be computed anew and replaced
        raise
    except ArtefactError as error:
        print(f"not reused: {error}")
        return {}, {}
    if held.notes.get("revision") != wanted["revision"]:
        print(f"{path}: not reused: the weights of {wanted['model']} have changed")
        return {}, {}
    return {tid: vector for tid, vector in held.vectors.items() if np.isfinite(vector).all()}, held.notes


def _say_truncated(notes: dict[str, Any]) -> None:
    count = notes.get("truncated", 0)
    if count:
        captions = "1 caption is" if count == 1 else f"{count} captions are"
        were = "was" if count == 1 else "were"
        print(f"{captions} longer than {notes['max_tokens']} tokens and {were} cut")
