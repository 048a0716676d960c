"""Free text, or a sound -> the best clips of a split, with their scores.

    python -m postprocessing.search "a dog barks twice"
    python -m postprocessing.search --audio barking.wav howling.flac
    python -m postprocessing.search --each dog rain

Several queries can be given at once. The clips are embedded anew unless
<split>_xmodal_scores.hdf5 of the same checkpoint holds their embeddings.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import Trained, load_trained
from tasks.retrieval.dual_encoder import DualEncoderTask
from utils.artefact_utils import UnreadableError
from utils.artefact_utils.retrieval import ScoreReader
from utils.audio_utils import AudioError
from utils.cli_utils import ArtefactError, UserError, command, positive, printable
from utils.dataset_utils import AUDIO_SUFFIXES
from utils.metric_utils.ranking import top_k
from utils.metric_utils.scores import EmbeddingScores
from utils.report_utils import print_table

SCRIPT = "postprocessing.search"

Array = NDArray[np.float32]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the best clips for every query."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("queries", nargs="*", metavar="TEXT", help="what to listen for, in free text")
    parser.add_argument("--each", action="store_true", help="every TEXT is a query, though each is a single word")
    parser.add_argument("--audio", nargs="+", action="append", default=[], metavar="FILE", help="sounds to search by")
    parser.add_argument("--top", type=positive, default=10, help="how many clips (default 10)")
    trained, args = load_trained(argv, parser)
    texts, sounds = _texts_and_sounds(args.queries, args.audio)
    _check_queries(texts, sounds, partial(trained.command_for, SCRIPT), each=args.each)
    task = trained.task()
    with torch.inference_mode():
        queries = [
            *(task.embed_queries(texts) if texts else []),
            *(_audio_query(task, p) for p in sounds),
        ]
        clips = _clip_embeddings(task, trained)
    names = [*texts, *(path.name for path in sounds)]
    similarity = trained.run.criterion.similarity
    best, scores = top_k(EmbeddingScores(np.stack(queries), clips, similarity=similarity), args.top)
    data = task.split(trained.split)
    captions = {caption.fid: caption.raw_text for caption in reversed(data.captions)}  # the first one of each clip
    for name, columns, values in zip(names, best, scores, strict=True):
        found = [(data.clips[c], value) for c, value in zip(columns, values, strict=True)]
        rows = [[clip.fname, captions.get(clip.fid, ""), f"{value:.4f}"] for clip, value in found]
        title = f"\"{name}\" in {len(data.clips)} clips of '{trained.split}'"
        print_table(title, ["clip", "one of its captions", "score"], rows, texts=2)


def _texts_and_sounds(texts: Sequence[str], audio: Sequence[Sequence[str]]) -> tuple[list[str], list[Path]]:
    """Tell the texts from the sounds, also where a text follows the files of --audio."""
    sounds: list[Path] = []
    late: list[str] = []
    for first, *others in audio:
        sounds.append(Path(first))
        for argument in others:
            if _is_file(argument) or Path(argument).suffix.lower() in AUDIO_SUFFIXES:
                sounds.append(Path(argument))
            else:
                late.append(argument)
    return [*texts, *late], sounds


def _check_queries(texts: Sequence[str], sounds: Sequence[Path], again: Callable[..., str], *, each: bool) -> None:
    """Make sure that texts are texts and sounds are files, before anything is embedded.

    Args:
        texts: the queries in words.
        sounds: the queries by sound.
        again: arguments -> this command line with them.
        each: single words are queries.
    Raises:
        UserError: there is nothing to search for, a text is a file, a file is none, or a sentence lacks its quotes.
    """
    if not sounds and not any(text.strip() for text in texts):
        raise UserError("nothing to search for; give a text in quotes, or --audio FILE")
    for text in texts:
        if _is_file(text):
            raise UserError(f"'{printable(text)}' is a file, not a text; search by it with {again('--audio', text)}")
        if len(text.split()) == 1 and Path(text).suffix.lower() in AUDIO_SUFFIXES:
            raise UserError(f"'{printable(text)}': no such file; correct the path, and name sounds after --audio")
    if len(texts) > 1 and not each and all(len(text.split()) <= 1 for text in texts):
        raise UserError(
            f"found {len(texts)} queries of one word each; put a text in quotes: {again(' '.join(texts))}; or search "
            f"for each word: {again('--each', *texts)}"
        )
    for path in sounds:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "no such file"
            raise UserError(f"{printable(str(path))}: {found}; name sound files after --audio")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero in it
        return False


def _audio_query(task: DualEncoderTask, path: Path) -> Array:
    """(E,) float32, the embedding of a sound file."""
    try:
        return task.embed_sound(path)
    except AudioError as error:
        raise UserError(f"{path}: {error}; give another sound file") from error


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
