"""What a trained captioner says of every clip of a split, written as <split>_captions.csv."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from tasks.base import CaptionRun, ImageRun
from tasks.captioning.run import CaptioningRunBase
from tasks.trained import TrainedRun
from utils.artefact_utils import CaptionRow, read_clips, read_text_table
from utils.artefact_utils.caption_parts import CaptionParts, is_made_with
from utils.artefact_utils.captions import read_caption_file
from utils.cli_utils.repairs import make
from utils.config_utils import read_json, to_mapping
from utils.data_utils import CaptionedFrames
from utils.data_utils.caption_rows import (
    MatchedCaptions,
    describe_some,
    match_captions,
    namings_of,
    one_line,
    rate_names,
)
from utils.data_utils.captioned_frames import FramesBatch
from utils.metric_utils.captions.baselines import most_frequent_caption
from utils.model_utils import autocast, choose_device
from utils.model_utils.checkpoints import FACTS_FILE
from utils.model_utils.devices import Precision
from utils.report_utils import progress_bar

if TYPE_CHECKING:
    from tasks.captioning.task import CaptioningTask

# Any run with captions, also of other systems: what they are compared with is read from its tables.
CaptionedRun = CaptioningRunBase | CaptionRun | ImageRun
# The captions of each clip of a batch -> the number of the chosen one of each.
Choose = Callable[[FramesBatch, list[list[str]]], list[int]]


class Reranking(NamedTuple):
    """How one of several captions of a clip is chosen."""

    run: Path  # that chooses
    candidates: int  # captions of a clip
    load: Callable[[CaptionedFrames], Choose]  # the split -> what chooses


class CaptionOptions(NamedTuple):
    """How captions are written, besides the run's own settings; None: as in training."""

    batch_size: int | None = None  # clips captioned at once
    precision: Precision | None = None
    reranking: Reranking | None = None  # None: one caption a clip is written


def captions_path(trained: TrainedRun[Any]) -> Path:
    """The table of captions of the trial."""
    return trained.trial.folder / f"{trained.split}_captions.csv"


def are_written(trained: TrainedRun[CaptioningRunBase], options: CaptionOptions) -> bool:
    """Whether the captions of this very checkpoint are on disk, as these options would write them.

    Nothing is loaded for it: what else a caption depends on, the frames, is that of the checkpoint.
    """
    return is_made_with(captions_path(trained), _made_with(trained, options))


def caption_split(trained: TrainedRun[CaptioningRunBase], options: CaptionOptions) -> Path:
    """Caption every clip of the split; if killed, the next call goes on from the last batch.

    Returns:
        The table, in the trial's folder.
    Raises:
        UserError: a file is missing, broken or made with other settings.
    """
    from tasks.captioning.task import CaptioningTask

    started = time.perf_counter()
    task = trained.task()
    assert isinstance(task, CaptioningTask)
    data, made_with = task.data(trained.split), _made_with(trained, options)
    path, precision = captions_path(trained), _precision(trained, options)
    device = choose_device(trained.run.training.device, precision)
    size = options.batch_size or trained.run.training.batch_size
    parts = CaptionParts(path, {**made_with, "data": data.digest(), "batch_size": size})
    captions = parts.finished()
    write = _writer(task, data, options.reranking)
    with (
        torch.inference_mode(),
        autocast(device, precision),
        progress_bar(len(data.clips), f"{trained.split}: captions", "clip", initial=len(captions)) as bar,
    ):
        for batch in data.without_captions(np.arange(len(data.clips)), size):
            fids = [data.clips[clip].fid for clip in batch.clips]
            if all(fid in captions for fid in fids):
                continue
            made = dict(zip(fids, write(batch), strict=True))
            parts.add(made)
            captions |= made
            bar.update(len(fids))
    rows = [CaptionRow(c.fid, own, captions[c.fid]) for c, own in zip(data.clips, data.references, strict=True)]
    parts.complete(rows, made_with)
    seconds = time.perf_counter() - started
    count = "1 clip" if len(rows) == 1 else f"{len(rows)} clips"
    print(f"{trained.checkpoint}: captioned {count} of '{trained.split}' in {seconds:.0f} s")
    print(*describe_some([clip.fname for clip in data.clips], rows), sep="\n")
    return path


def matched_captions(path: Path, repair: str, run: CaptionedRun, split: str, *, own: bool = False) -> MatchedCaptions:
    """Read a table of captions, of this system or another one, and match its clips with those of a split.

    Args:
        path: of the table.
        repair: what to do where there is none, for messages.
        run: the settings.
        split: its name.
        own: whether this system wrote it, whose ids are all clips of the split.
    Raises:
        ArtefactError: a table is missing or broken, or its clips are not those of the split.
    """
    clips = read_clips(run.data.clip_info, split, make("tables"))
    captions = read_text_table(run.data.text_table(split), make("tables"))
    namings = namings_of(clips, captions)
    file = read_caption_file(path, repair, rate_names(namings))
    return match_captions(path, file, clips, captions, namings, own=own)


def most_frequent_of_training(run: CaptionedRun) -> str:
    """The most frequent training caption, which a system that ignores its input may say of every clip."""
    rows = read_text_table(run.data.text_table(run.data.splits.train), make("tables"))
    return most_frequent_caption([one_line(caption) for caption in rows])


def _writer(
    task: CaptioningTask, data: CaptionedFrames, reranking: Reranking | None
) -> Callable[[FramesBatch], list[str]]:
    """What captions a batch: as `generation:` says, or by choosing among several captions of each clip."""
    if reranking is None:
        return task.written
    choose, count = reranking.load(data), reranking.candidates

    def write(batch: FramesBatch) -> list[str]:
        found = task.candidates(batch, count)
        return [texts[best] for texts, best in zip(found, choose(batch, found), strict=True)]

    return write


def _precision(trained: TrainedRun[CaptioningRunBase], options: CaptionOptions) -> Precision:
    return options.precision or trained.run.training.precision


def _made_with(trained: TrainedRun[CaptioningRunBase], options: CaptionOptions) -> dict[str, Any]:
    """What captions depend on, besides the frames: weights, precision, and how a caption is written and chosen."""
    folder = trained.trial.checkpoint.folder
    digest = read_json(folder / FACTS_FILE, allow_nan=True)["blake2b"]
    chosen = options.reranking
    return {
        "checkpoint": folder.name,
        "blake2b": digest,
        "generation": to_mapping(trained.run)["generation"],
        "precision": _precision(trained, options),
        "rerank": None if chosen is None else [str(chosen.run.absolute()), chosen.candidates],
    }
