"""Captions -> sbert_embeds.pkl: a vector (E,) float32 for every tid, by a sentence-transformers model.

    python -m preprocessing.sbert_embeddings

Run again, it embeds only what is missing; a kill loses at most one chunk of captions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks import load_run
from utils.artefact_utils import Caption, read_text_embeddings, read_text_table, write_text_embeddings
from utils.cli_utils import ArtefactError, command, command_for, positive
from utils.report_utils import progress_bar
from utils.text_utils import encode_captions, load_sentence_encoder, model_revision

SCRIPT = "preprocessing.sbert_embeddings"
_CHUNK = 4096

Vectors = dict[str, NDArray[np.float32]]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Write the embeddings of every caption of every split."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=positive, default=64, help="captions a batch (default 64)")
    run, args = load_run(argv, parser)
    data = run.data
    script = command_for("preprocessing.clotho_dataset")
    captions = [c for split in data.splits.names() for c in read_text_table(data.text_table(split), script)]
    write_embeddings(data.text_vectors, captions, data.text_embeddings.model, args.batch_size)
    print(f"next: {command_for('main.py')}")


def write_embeddings(path: Path, captions: Sequence[Caption], model: str, batch_size: int) -> None:
    """Embed the captions that have no vector yet, and write all.

    Args:
        path: the pickle; beside it, while it is made, <name>.unfinished.
        captions: of all splits; `raw_text` is what is embedded.
        model: of `data.text_embeddings`.
        batch_size: captions a batch.
    Raises:
        UserError: the model cannot be loaded.
    """
    notes = {"model": model, "revision": model_revision(model), "made_by": command_for(SCRIPT)}
    unfinished = path.with_name(f"{path.name}.unfinished")
    held = _held(path, notes) | _held(unfinished, notes)
    missing = [caption for caption in captions if caption.tid not in held]
    wanted = {caption.tid for caption in captions}
    if not missing and path.is_file() and not unfinished.is_file() and wanted == set(held):
        print(f"{len(captions)} captions, reused {path}")
        return
    if len(missing) < len(captions):
        print(f"{len(captions) - len(missing)} of {len(captions)} captions are embedded already")
    vectors = {tid: held[tid] for tid in wanted if tid in held}
    if missing:
        encoder = load_sentence_encoder(model)
        chunks = encode_captions(encoder, [caption.raw_text for caption in missing], batch_size, _CHUNK)
        done = 0
        with progress_bar(len(missing), "captions", "caption") as bar:
            for rows in chunks:
                tids = [caption.tid for caption in missing[done : done + len(rows)]]
                vectors.update(zip(tids, rows, strict=True))
                done += len(rows)
                bar.update(len(rows))
                if done < len(missing):
                    write_text_embeddings(unfinished, vectors, notes)
    ordered = {caption.tid: np.ascontiguousarray(vectors[caption.tid]) for caption in captions}
    write_text_embeddings(path, ordered, notes)
    unfinished.unlink(missing_ok=True)
    width = len(next(iter(ordered.values())))
    print(f"{len(ordered)} captions, wrote {path} ({width} dimensions, {model})")


def _held(path: Path, notes: dict[str, Any]) -> Vectors:
    """The vectors of an earlier run of the same model in the same state; none of a broken file or another model."""
    if not path.is_file():
        return {}
    try:
        held = read_text_embeddings(path, notes["model"], command_for(SCRIPT))
    except ArtefactError as error:
        print(f"not reused: {error}")
        return {}
    if held.notes.get("revision") != notes["revision"]:
        print(f"{path}: not reused: the weights of {notes['model']} have changed")
        return {}
    return {tid: vector for tid, vector in held.vectors.items() if np.isfinite(vector).all()}


if __name__ == "__main__":
    main()
