"""How likely a captioner finds every caption of a split for every clip: scores by which clips are found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.captioning.task import CaptioningTask
from utils.cli_utils import UserError
from utils.data_utils import CaptionedFrames
from utils.data_utils.caption_rows import one_line
from utils.data_utils.sampling import Ints
from utils.report_utils import progress_bar

Matrix = NDArray[np.float32]
# Clips between two steps of the progress bar; how much is computed at once does not depend on it.
_CLIPS = 4


class Likelihoods(NamedTuple):
    """Captions and clips of a split, every one with every other."""

    captions: Ints  # (Q,) rows of the caption table: all captions of the clips
    clips: Ints  # (C,) rows of the clip table, ascending
    logs: Matrix  # (Q, C) float32, log-probability of a caption given a clip


def caption_likelihoods(task: CaptioningTask, split: CaptionedFrames, clips: Ints) -> Likelihoods:
    """Compute the log-probability of each caption of some clips given each of these clips: Q x C forward passes.

    It is that of the whole caption, its end included, and not the mean over its tokens: see `calibrated`.

    Args:
        task: with trained weights, in eval mode.
        split: of the task.
        clips: rows of its clip table, ascending.
    Raises:
        UserError: one is NaN or infinite.
    """
    captions = np.flatnonzero(np.isin(split.clip_of_caption, clips))
    texts = [one_line(split.captions[row]) for row in captions.tolist()]
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}  # each text is computed once
    found = np.empty((len(place), len(clips)), np.float32)
    with progress_bar(len(clips), f"{split.name}: likelihood of {len(place)} captions", "clip") as bar:
        for batch in split.without_captions(clips, _CLIPS):
            columns = np.searchsorted(clips, batch.clips)
            found[:, columns] = task.log_likelihoods(batch, list(place)).T.float().cpu().numpy()
            bar.update(len(columns))
    if len(bad := np.argwhere(~np.isfinite(found))):
        row, column = bad[0].tolist()
        raise UserError(
            f"the log-likelihood of '{list(place)[row]}' given {split.clips[clips[column]].fname} is "
            f"{found[row, column]}, expected a finite number; choose another checkpoint with --checkpoint, or train "
            "again with a lower optimizer.lr"
        )
    return Likelihoods(captions, clips, found[[place[text] for text in texts]])


def calibrated(logs: Matrix) -> Matrix:
    """Subtract from the log-likelihoods of each caption the log of its mean likelihood over the clips.

    log p(caption | clip) - log p(caption), with p(caption) = mean over the clips of p(caption | clip): the pointwise
    mutual information of caption and clip. Short and frequent captions are likely whatever the clip is, and without
    the subtraction they are the first ones of every clip. What is left is the log-probability of the clip given the
    caption, all clips being equally probable before, plus log C; so captions of all lengths compare. This holds for
    the sum over a caption's tokens alone. A mean over tokens is no probability of the caption, and a mean of the
    *logs* over clips leaves long captions, whose logs spread more, both at the top and at the bottom of a list.

    It takes one constant from all scores of a caption: which clips a caption finds (text to audio) does not change, and
    which captions a clip finds (audio to text) does. It looks at the clips that are ranked, never at whose captions
    they are.

    Args:
        logs: (Q, C), log-likelihood of each caption given each clip.
    Returns:
        (Q, C) float32, at most log C; higher is more similar.
    """
    wide = logs.astype(np.float64)
    mean = np.logaddexp.reduce(wide, axis=1, keepdims=True) - np.log(logs.shape[1])
    return (wide - mean).astype(np.float32)
