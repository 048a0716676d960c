"""The clips that a search goes over: of splits, or the sound files of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.retrieval.dual_encoder import DualEncoderRun, DualEncoderTask
from tasks.retrieval.embedding import not_finite
from tasks.retrieval.encoder import FolderEmbeddings, RetrievalEncoder
from tasks.retrieval.scores import score_file
from tasks.trained import TrainedRun
from utils.artefact_utils import UnreadableError
from utils.artefact_utils.retrieval import ScoreReader
from utils.artefact_utils.retrieval.folder_embeddings import folder_embeddings_file
from utils.artefact_utils.retrieval.mapped_embeddings import Piece
from utils.cli_utils import ArtefactError, UserError
from utils.data_utils.clip_features import ClipRange

Array = NDArray[np.float32]
_SHOWN = 10  # files that are printed where many cannot be embedded


class Candidates(NamedTuple):
    """What is searched.

    Attributes:
        title: in words.
        columns: of text, that a row shows.
        rows: C of them.
        stem: of the names of files about it, in the trial's folder.
        states: C texts that change with the clips: ids, or name, size and time of a file.
        pieces: clips of a piece, or None: as many as there are -> what embeds them, in order.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    stem: str
    states: list[str]
    pieces: Callable[[int | None], Sequence[Piece]]

    def embeddings(self) -> Array:
        """Embed all at once: (C, E) float32."""
        return np.concatenate([piece.embed() for piece in self.pieces(None)])


def sounds_below(encoder: RetrievalEncoder, trial: Path, folder: Path) -> Candidates:
    """The sound files below a folder; those that cannot be embedded are printed.

    Args:
        encoder: of the run.
        trial: its folder.
        folder: of the sounds.
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
    states = [
        f"{row[0]} {file.stat().st_size} {file.stat().st_mtime_ns}" for row, file in zip(rows, found.files, strict=True)
    ]
    return Candidates(
        f"{len(rows)} sound files below {folder}",
        ["file"],
        rows,
        folder_embeddings_file(trial, folder).stem,
        states,
        partial(_of_folder, found),
    )


def clips_of_splits(task: DualEncoderTask, splits: Sequence[TrainedRun[DualEncoderRun]]) -> Candidates:
    """The clips of splits, each with one of its captions.

    Args:
        task: of the run.
        splits: the run, once for each of its splits that is searched.
    """
    rows: list[list[str]] = []
    states: list[str] = []
    for trained in splits:
        data = task.data(trained.split)
        captions = {caption.fid: caption.raw_text for caption in reversed(data.captions)}  # the first one of each clip
        place = f"{trained.split}/" if len(splits) > 1 else ""
        rows += [[f"{place}{clip.fname}", captions.get(clip.fid, "")] for clip in data.clips]
        states += [f"{trained.split} {data.revisions.get('audio', '')}", *data.fids]
    names = ", ".join(f"'{trained.split}'" for trained in splits)
    return Candidates(
        f"{len(rows)} clips of {names}",
        ["clip", "one of its captions"],
        rows,
        splits[0].split if len(splits) == 1 else "all_splits",
        states,
        lambda size: [piece for trained in splits for piece in _of_split(task, trained, size)],
    )


def _of_folder(found: FolderEmbeddings, size: int | None) -> list[Piece]:
    return _slices(found.embeddings, size)


def _of_split(task: DualEncoderTask, trained: TrainedRun[DualEncoderRun], size: int | None) -> list[Piece]:
    """The clips of a split: their embeddings where they are stored, or what makes them."""
    stored = _stored(task, trained)
    if stored is not None:
        return _slices(stored, size)
    clips = len(task.data(trained.split).clips)
    step = size or clips
    ranges = [(start, min(start + step, clips)) for start in range(0, clips, step)]
    return [Piece(stop - start, partial(_embedded, task, trained, start, stop)) for start, stop in ranges]


def _slices(embeddings: Array, size: int | None) -> list[Piece]:
    step = size or len(embeddings)
    some = [embeddings[start : start + step] for start in range(0, len(embeddings), step)]
    return [Piece(len(rows), partial(np.asarray, rows)) for rows in some]


def _stored(task: DualEncoderTask, trained: TrainedRun[DualEncoderRun]) -> Array | None:
    """(C, E) of the score file, in the order of the split's clips; None, and a line, where it has none of them."""
    fids = task.data(trained.split).fids
    try:
        with ScoreReader(score_file(trained), trained.command_for("postprocessing.xmodal_scores")) as reader:
            if reader.notes.get("checkpoint") == trained.checkpoint and reader.fids == fids:
                return reader.embeddings("audio")
    except UnreadableError:
        raise
    except ArtefactError:
        print(f"{score_file(trained).name} is not there: embedding {len(fids)} clips")
    return None


def _embedded(task: DualEncoderTask, trained: TrainedRun[DualEncoderRun], start: int, stop: int) -> Array:
    """Embed neighbouring clips of a split.

    Raises:
        UserError: an embedding is not finite.
    """
    data = task.data(trained.split)
    with torch.inference_mode():
        found = task.embedder.clips(ClipRange(data.audio, start, stop), trained.run.data.worker_processes)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        value = float(found[row][~np.isfinite(found[row])][0])
        raise not_finite(trained.checkpoint, data.clips[start + row].fname, value)
    return found
