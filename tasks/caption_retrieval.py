"""A trained captioner as a retrieval system: clips by how likely it finds people's captions."""

from __future__ import annotations

import json
from pathlib import Path

from tasks.base import ImageRun
from tasks.captioning.run import CaptioningRunBase
from tasks.retrieval.evaluation import evaluate_split
from tasks.retrieval.printing import print_results
from tasks.retrieval.results import results_of
from tasks.retrieval.scores import WHY_LEFT_OUT, SplitScores
from tasks.trained import TrainedRun
from utils.artefact_utils import read_clips, read_text_table, write_json
from utils.artefact_utils.retrieval import write_scores
from utils.cli_utils.repairs import make
from utils.data_utils import Tables
from utils.metric_utils.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from utils.model_utils import autocast, choose_device


def rank_clips(trained: TrainedRun[CaptioningRunBase], count: int) -> list[Path]:
    """Rank clips by the likelihood of people's captions, and measure it as any retrieval; print, and write.

    Args:
        trained: the captioner and the split.
        count: clips; see `score_clips`.
    Returns:
        The scores and <split>_caption_retrieval.json, in the trial's folder.
    Raises:
        UserError: see `score_clips`.
    """
    scores = score_clips(trained, count)
    results = results_of(evaluate_split(scores, trained.run, PROTOCOLS[DEFAULT_PROTOCOL]), scores, trained.run)
    print_results(scores, results, "pictures" if isinstance(trained.run, ImageRun) else "audio")
    print(f"ranked: {len(scores.clips)} of {len(scores.tables.clips)} clips")
    print("score: log-likelihood of the caption given the clip, less the log of its mean likelihood over these clips")
    path = scores.folder / f"{scores.split}_caption_retrieval.json"
    write_json(path, results.as_json())
    return [scores.path, path]


def score_clips(trained: TrainedRun[CaptioningRunBase], count: int) -> SplitScores:
    """Score people's captions of some clips against these clips, and write <split>_caption_scores.hdf5.

    Args:
        trained: the captioner and the split.
        count: clips, evenly spaced in the split; all where it has fewer.
    Returns:
        The scores; the other clips are left out.
    Raises:
        UserError: a file is missing, broken or made with other settings, or a score is not finite.
    """
    from tasks.captioning.likelihoods import calibrated, caption_likelihoods
    from tasks.captioning.task import CaptioningTask

    task, data, training = trained.task(), trained.run.data, trained.run.training
    assert isinstance(task, CaptioningTask)
    split = task.data(trained.split)
    with autocast(choose_device(training.device, training.precision), training.precision):
        found = caption_likelihoods(task, split, split.evenly_spaced(count))
    captions = [split.captions[row] for row in found.captions.tolist()]
    clips = [split.clips[row] for row in found.clips.tolist()]
    path, values = trained.trial.folder / f"{split.name}_caption_scores.hdf5", calibrated(found.logs)
    known = read_clips(data.clip_info, split.name, make("tables"))
    worded = [c for c in read_text_table(data.text_table(split.name), make("tables")) if c.raw_text.strip()]
    left_out = {clip.fid for clip in known} - {clip.fid for clip in clips}
    why = f"{len(clips)} evenly spaced ones of {len(split.clips)} are ranked"
    write_scores(
        path,
        {"tid": [caption.tid for caption in captions], "fid": [clip.fid for clip in clips]},
        [(0, values)],
        {},
        {
            "split": split.name,
            "checkpoint": trained.checkpoint,
            "left_out": json.dumps(sorted(left_out)),
            WHY_LEFT_OUT: why,
        },
    )
    return SplitScores(
        trained.checkpoint,
        split.name,
        path,
        path.parent,
        captions,
        clips,
        Tables(known, worded),
        values,
        left_out=frozenset(left_out),
        why_left_out=why,
    )
