"""Free text, or a sound -> the best clips of a split, with their scores.

    python -m postprocessing.search "a dog barks twice"
    python -m postprocessing.search --audio barking.wav howling.flac
    python -m postprocessing.search --each dog rain
    python -m postprocessing.search "a dog barks twice" --split train        another split than data.splits.eval
    python -m postprocessing.search "a dog barks twice" --all-splits
    python -m postprocessing.search "a dog barks twice" --folder ~/sounds    any folder, and all below it

Several queries can be given at once. The clips of a split are embedded anew unless
<split>_xmodal_scores.hdf5 of the same checkpoint holds their embeddings. Those of a folder are embedded once and cached
in the trial's folder; a file is embedded again only where it, or the checkpoint, has changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks import TrainedRun, command, open_trained_run
from tasks.encoders import encoder_of
from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.encoder import RetrievalEncoder
from tasks.retrieval.scores import score_file, trained_dual_encoder
from utils.artefact_utils import UnreadableError
from utils.artefact_utils.retrieval import ScoreReader
from utils.cli_utils import ArtefactError, UserError, positive, printable
from utils.dataset_utils import AUDIO_SUFFIXES
from utils.report_utils import print_table

SCRIPT = "postprocessing.search"
_SHOWN = 10  # files that are printed where many cannot be embedded

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
    with open_trained_run(argv, parser, DualEncoderRun) as (trained, args):
        given = {"--folder": args.folder, "--all-splits": args.all_splits or None, "--split": args.split}
        if len(chosen := [option for option, value in given.items() if value is not None]) > 1:
            raise UserError(f"{' and '.join(chosen)}: each says where to search; give one of them")
        texts, sounds = _texts_and_sounds(args.queries, args.audio)
        _check_queries(texts, sounds, partial(trained.command_for, SCRIPT), each=args.each)
        task = trained_dual_encoder(trained, measures=False)
        encoder = encoder_of(trained, task)
        queries = [encoder.encode_text(texts)] if texts else []
        queries += [encoder.encode_audio(sounds)] if sounds else []
        if args.folder is not None:
            found = _folder(encoder, args.folder)
        else:
            splits = trained.run.data.splits.names() if args.all_splits else [trained.split]
            found = _clips_of_splits(task, [trained._replace(split=split) for split in splits])
        hits = encoder.search(np.concatenate(queries), found.embeddings, args.top)
        for name, columns, values in zip([*texts, *(path.name for path in sounds)], *hits, strict=True):
            rows = [[*found.rows[c], f"{value:.4f}"] for c, value in zip(columns, values, strict=True)]
            print_table(f'"{name}" in {found.title}', [*found.columns, "score"], rows, texts=len(found.columns))


class _Candidates(NamedTuple):
    """What is searched."""

    title: str
    columns: list[str]  # of text, that a row shows
    rows: list[list[str]]  # C
    embeddings: Array  # (C, E)


def _folder(encoder: RetrievalEncoder, folder: Path) -> _Candidates:
    """The sound files below a folder; those that cannot be embedded are printed.

    Raises:
        UserError: there is no sound file that can be embedded.
    """
    found = encoder.encode_folder(folder, progress=True)
    refused = [f"{file}: {reason}" for file, reason in found.refused.items()]
    if not found.files:
        raise UserError(f"{refused[0]}; no sound file below {folder} can be embedded; name another folder")
    for line in refused[:_SHOWN]:
        print(f"left out: {line}")
    if len(refused) > _SHOWN:
        print(f"left out: {len(refused) - _SHOWN} more files of {len(refused) + len(found.files)}")
    rows = [[file.relative_to(folder).as_posix()] for file in found.files]
    return _Candidates(f"{len(rows)} sound files below {folder}", ["file"], rows, found.embeddings)


def _clips_of_splits(task: DualEncoderTask, splits: Sequence[TrainedRun[DualEncoderRun]]) -> _Candidates:
    """The clips of splits, each with one of its captions."""
    rows: list[list[str]] = []
    for trained in splits:
        data = task.data(trained.split)
        captions = {caption.fid: caption.raw_text for caption in reversed(data.captions)}  # the first one of each clip
        place = f"{trained.split}/" if len(splits) > 1 else ""
        rows += [[f"{place}{clip.fname}", captions.get(clip.fid, "")] for clip in data.clips]
    names = ", ".join(f"'{trained.split}'" for trained in splits)
    embeddings = np.concatenate([_clip_embeddings(task, trained) for trained in splits])
    return _Candidates(f"{len(rows)} clips of {names}", ["clip", "one of its captions"], rows, embeddings)


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


def _clip_embeddings(task: DualEncoderTask, trained: TrainedRun[DualEncoderRun]) -> Array:
    """(C, E) float32, in the order of the split's clips."""
    fids = task.data(trained.split).fids
    try:
        with ScoreReader(score_file(trained), trained.command_for("postprocessing.xmodal_scores")) as reader:
            if reader.notes.get("checkpoint") == trained.checkpoint and reader.fids == fids:
                return reader.embeddings("audio")
    except UnreadableError:
        raise
    except ArtefactError:
        print(f"{score_file(trained).name} is not there: embedding {len(fids)} clips")
    with torch.inference_mode():
        return task.outputs(trained.split).audio


if __name__ == "__main__":
    main()
