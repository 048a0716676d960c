"""Free text, or a sound -> the best clips of a split, with their scores.

    python -m postprocessing.search "a dog barks twice"
    python -m postprocessing.search --audio barking.wav howling.flac
    python -m postprocessing.search --each dog rain
    python -m postprocessing.search "a dog barks twice" --split train        another split than data.splits.eval
    python -m postprocessing.search "a dog barks twice" --all-splits
    python -m postprocessing.search "a dog barks twice" --folder ~/sounds    any folder, and all below it
    python -m postprocessing.search --index "a dog barks twice"              by an index, for many clips

Several queries can be given at once. The clips of a split are embedded anew unless
<split>_xmodal_scores.hdf5 of the same checkpoint holds their embeddings. Those of a folder are embedded once and cached
in the trial's folder; a file is embedded again only where it, or the checkpoint, has changed. An index is built once,
in the trial's folder too, with the embeddings that it is of; it is mapped, not read.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import TrainedRun, command, open_trained_run
from tasks.encoders import encoder_of
from tasks.retrieval.candidates import Candidates, clips_of_splits, sounds_below
from tasks.retrieval.clip_index import ClipIndex, IndexChoice
from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.encoder import Hits, RetrievalEncoder
from tasks.retrieval.scores import trained_dual_encoder
from utils.cli_utils import UserError, positive, printable
from utils.dataset_utils import AUDIO_SUFFIXES
from utils.index_utils import INDEX_KINDS, VectorSearch
from utils.report_utils import print_table

SCRIPT = "postprocessing.search"
_AUTO = "auto"
_SAMPLE_CAPTIONS = 256
_INDEX_GB = 4

Array = NDArray[np.float32]


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Print the best clips for every query."""
    parser = argparse.ArgumentParser(prog=f"python -m {SCRIPT}", description=__doc__.splitlines()[0])
    parser.add_argument("queries", nargs="*", metavar="TEXT", help="what to listen for, in free text")
    parser.add_argument("--each", action="store_true", help="every TEXT is a query, though each is a single word")
    parser.add_argument("--audio", nargs="+", action="append", default=[], metavar="FILE", help="sounds to search by")
    parser.add_argument("--top", type=positive, default=10, help="how many clips (default 10)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="search the sound files below DIR, not a split")
    parser.add_argument("--all-splits", action="store_true", help="search the clips of all splits")
    kinds = ", ".join(INDEX_KINDS)
    parser.add_argument(
        "--index", nargs="?", const=_AUTO, metavar="KIND", help=f"search by an index, built once: {_AUTO}, {kinds}"
    )
    parser.add_argument(
        "--index-memory", type=_gigabytes, metavar="GB", help=f"that an index may take (default {_INDEX_GB})"
    )
    parser.add_argument("--rebuild-index", action="store_true", help="build the index again")
    with open_trained_run(argv, parser, DualEncoderRun) as (trained, args):
        given = {"--folder": args.folder, "--all-splits": args.all_splits or None, "--split": args.split}
        if len(chosen := [option for option, value in given.items() if value is not None]) > 1:
            raise UserError(f"{' and '.join(chosen)}: each says where to search; give one of them")
        choice, texts = _index_choice(args.index, args.index_memory, rebuild=args.rebuild_index)
        texts, sounds = _texts_and_sounds([*texts, *args.queries], args.audio)
        if texts or sounds or choice is None:  # an index can be built before there is a query
            _check_queries(texts, sounds, partial(trained.command_for, SCRIPT), each=args.each)
        task = trained_dual_encoder(trained, measures=False)
        encoder = encoder_of(trained, task)
        queries = [encoder.encode_text(texts)] if texts else []
        queries += [encoder.encode_audio(sounds)] if sounds else []
        if args.folder is not None:
            found = sounds_below(encoder, trained.trial.folder, args.folder)
        else:
            splits = trained.run.data.splits.names() if args.all_splits else [trained.split]
            found = clips_of_splits(task, [trained._replace(split=split) for split in splits])
        if choice is None:
            hits = encoder.search(np.concatenate(queries), found.embeddings(), args.top)
        else:
            place = [] if args.folder is None else ["--folder", str(args.folder)]
            place += ["--all-splits"] if args.all_splits else []
            index = _open_index(task, trained, encoder, found, choice, place)
            if not queries:
                return
            hits = Hits(*index.search(np.concatenate(queries), args.top))
        for name, columns, values in zip([*texts, *(path.name for path in sounds)], *hits, strict=True):
            rows = [[*found.rows[c], f"{value:.4f}"] for c, value in zip(columns, values, strict=True)]
            print_table(f'"{name}" in {found.title}', [*found.columns, "score"], rows, texts=len(found.columns))


def _index_choice(index: str | None, memory_gb: float | None, *, rebuild: bool) -> tuple[IndexChoice | None, list[str]]:
    """Return what the options say of an index, None: search without one; and the text that stood after --index.

    Args:
        index: what stands after --index; None: it is not given.
        memory_gb: --index-memory; None: it is not given.
        rebuild: --rebuild-index.
    Raises:
        UserError: one of the options needs another, or what stands after --index is neither a kind nor plainly a text.
    """
    if index is None:
        if rebuild:
            raise UserError("--rebuild-index: builds an index again; say --index too")
        if memory_gb is not None:
            raise UserError("--index-memory: limits an index; say --index too")
        return None, []
    choice = IndexChoice(None, 1e9 * (memory_gb or _INDEX_GB), rebuild)
    if index in INDEX_KINDS:
        return choice._replace(kind=index), []
    if index == _AUTO:
        return choice, []
    if len(index.split()) == 1:  # a kind that is misspelt must not become a query
        raise UserError(
            f"--index: found '{printable(index)}', expected one of {_AUTO}, {', '.join(INDEX_KINDS)}; put a text "
            "of one word before it"
        )
    return choice, [index]


def _open_index(
    task: DualEncoderTask,
    trained: TrainedRun[DualEncoderRun],
    encoder: RetrievalEncoder,
    found: Candidates,
    choice: IndexChoice,
    place: Sequence[str],
) -> VectorSearch:
    """Open the index of what is searched; recall is measured with captions of the run's split.

    Args:
        task: of the run.
        trained: the run.
        encoder: of the run.
        found: what is searched.
        choice: of `_index_choice`.
        place: the arguments that say where to search, but for --split.
    """
    kind = [] if choice.kind is None else [choice.kind]
    again = trained.command_for(SCRIPT, *place, "--index", *kind, "--rebuild-index")
    return ClipIndex(encoder, trained.trial.folder, found, partial(_sample, task, trained.split), again).open(choice)


def _sample(task: DualEncoderTask, split: str) -> Array:
    """(Q, E): embeddings of captions of a split, always the same ones."""
    captions = len(task.data(split).captions)
    rows = np.random.default_rng(0).choice(captions, min(captions, _SAMPLE_CAPTIONS), replace=False)
    with torch.inference_mode():
        return task.embedder.captions(task.data(split), np.sort(rows))


def _gigabytes(text: str) -> float:
    """An argparse type: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of gigabytes above 0, got {text}")
    return value


def _texts_and_sounds(texts: Sequence[str], audio: Sequence[Sequence[str]]) -> tuple[list[str], list[Path]]:
    """Separate the texts from the sounds, also where a text follows the files of --audio."""
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


if __name__ == "__main__":
    main()
