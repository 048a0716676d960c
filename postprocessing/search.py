"""Free text, or a sound -> the best clips of a split, with their scores.

    python -m postprocessing.search "a dog barks twice"
    python -m postprocessing.search --audio barking.wav

Several queries can be given at once. The clips are embedded anew unless <split>_xmodal_scores.hdf5 of the same
checkpoint holds their embeddings.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import Trained, load_trained
from tasks.dual_encoder import DualEncoderTask
from utils.artefact_utils import ScoreReader, UnreadableError
from utils.audio_utils import AudioError
from utils.cli_utils import ArtefactError, UserError, command, positive
from utils.metric_utils import EmbeddingScores, top_k
from utils.report_utils import print_table

SCRIPT = "postprocessing.search"

Array = NDArray[np.float32]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the best clips for every query."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("queries", nargs="*", metavar="TEXT", help="what to listen for, in free text")
    parser.add_argument("--audio", type=Path, action="append", default=[], help="a sound to search by (repeatable)")
    parser.add_argument("--top", type=positive, default=10, help="how many clips (default 10)")
    trained, args = load_trained(argv, parser)
    if not args.audio and not any(query.strip() for query in args.queries):
        raise UserError("nothing to search for; give a text in quotes, or --audio FILE")
    task = trained.task()
    with torch.inference_mode():
        queries = [
            *(task.embed_queries(args.queries) if args.queries else []),
            *(_audio_query(task, p) for p in args.audio),
        ]
        clips = _clip_embeddings(task, trained)
    names = [*args.queries, *(path.name for path in args.audio)]
    similarity = trained.run.criterion.similarity
    best, scores = top_k(EmbeddingScores(np.stack(queries), clips, similarity=similarity), args.top)
    data = task.split(trained.split)
    captions = {caption.fid: caption.raw_text for caption in reversed(data.captions)}  # the first one of each clip
    for name, columns, values in zip(names, best, scores, strict=True):
        found = [(data.clips[c], value) for c, value in zip(columns, values, strict=True)]
        rows = [[clip.fname, captions.get(clip.fid, ""), f"{value:.4f}"] for clip, value in found]
        title = f"\"{name}\" in {len(data.clips)} clips of '{trained.split}'"
        print_table(title, ["clip", "one of its captions", "score"], rows, texts=2)


def _audio_query(task: DualEncoderTask, path: Path) -> Array:
    """(E,) float32, the embedding of a sound file."""
    try:
        return task.embed_sound(path)
    except AudioError as error:
        raise UserError(f"{path}: {error}; give another wav, flac, ogg or mp3 file") from error


def _clip_embeddings(task: DualEncoderTask, trained: Trained) -> Array:
    """(C, E) float32, in the order of the split's clips."""
    fids = task.split(trained.split).fids
    try:
        with ScoreReader(trained.scores, trained.command_for("postprocessing.xmodal_scores")) as reader:
            if reader.notes.get("checkpoint") == trained.checkpoint and reader.fids == fids:
                return reader.embeddings("audio")
    except UnreadableError:
        raise
    except ArtefactError:
        print(f"{trained.scores.name} is not there: embedding {len(fids)} clips")
    return task.outputs(trained.split).audio


if __name__ == "__main__":
    main()
