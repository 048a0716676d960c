"""Scores of clips by the likelihood of captions: values by hand, and what calibration leaves as it was."""

import numpy as np
import pytest
import torch

from models.generation import log_likelihood
from tasks.captioning.likelihoods import calibrated, caption_likelihoods
from tasks.captioning.task import CaptioningTask
from utils.cli_utils import UserError
from utils.data_utils.caption_rows import one_line


def test_calibration_by_hand():
    """Means of 0.5 and 0.125, of 0.04 and 0.01, and of equal numbers."""
    likelihoods = np.array([[0.5, 0.125], [0.01, 0.04], [0.3, 0.3]])
    scores = calibrated(np.log(likelihoods).astype(np.float32))
    expected = np.log([[0.5 / 0.3125, 0.125 / 0.3125], [0.01 / 0.025, 0.04 / 0.025], [1.0, 1.0]])
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    # a score less log C is the log-probability of the clip, given the caption
    np.testing.assert_allclose((np.exp(scores) / 2).sum(1), 1.0, rtol=1e-6)


def test_calibration_ranks_captions_of_a_clip_anew_and_leaves_the_clips_of_a_caption():
    """Log-likelihoods far below what float32 can exponentiate; the first caption is short, and likely for all clips."""
    logs = np.array([[-20.0, -19.0, -21.0], [-400.0, -480.0, -470.0]], np.float32)
    scores = calibrated(logs)
    assert (logs.argsort(1) == scores.argsort(1)).all()
    assert logs.argmax(0).tolist() == [0, 0, 0]
    assert scores.argmax(0).tolist() == [1, 0, 0]
    assert scores[1, 0] == pytest.approx(np.log(3))
    assert (scores <= np.log(3) + 1e-6).all()


def test_likelihoods_are_those_of_each_pair(made, monkeypatch):
    """Some clips of the split, whose captions alone count; of two equal captions one is computed."""
    task = made.run().build("train")
    task.model().eval()
    split = task.data("train")
    clips = split.evenly_spaced(3)
    assert clips.tolist() == [0, 3, 7]
    rows = np.flatnonzero(np.isin(split.clip_of_caption, clips))
    split.captions[rows[1]] = split.captions[rows[1]]._replace(raw_text=f" {split.captions[rows[0]].raw_text}\n")
    computed = []
    counted = CaptioningTask.log_likelihoods
    monkeypatch.setattr(
        CaptioningTask,
        "log_likelihoods",
        lambda self, batch, captions: computed.append(list(captions)) or counted(self, batch, captions),
    )
    found = caption_likelihoods(task, split, clips)
    assert found.captions.tolist() == rows.tolist()
    assert found.clips.tolist() == clips.tolist()
    assert all(len(captions) == len(rows) - 1 for captions in computed)
    for column, clip in enumerate(clips):
        frames = torch.from_numpy(np.array(split.frames.views[clip][:], np.float32))[None]
        for row, caption in enumerate(rows):
            text = one_line(split.captions[caption])
            alone = log_likelihood(task.captioner, frames, torch.tensor([frames.shape[1]]), [text]).sums.item()
            assert found.logs[row, column] == pytest.approx(alone, rel=1e-4)


def test_more_clips_than_there_are_is_all_of_them(sounds):
    split = sounds.run().build("train").data("train")
    assert split.evenly_spaced(1000).tolist() == list(range(8))
    assert split.evenly_spaced(1).tolist() == [0]


def test_diverged_weights_are_refused(sounds):
    task = sounds.run().build("eval")
    split = task.data("eval")
    with torch.no_grad():
        next(task.captioner.adapter.parameters()).fill_(torch.nan)
    task.model().eval()
    with pytest.raises(
        UserError, match=rf"^the log-likelihood of '{split.references[0][0]}' given .* is nan, expected"
    ):
        caption_likelihoods(task, split, split.evenly_spaced(4))
