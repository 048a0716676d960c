"""Reconstructions are the task's own, and TensorBoard reads what is written of a checkpoint."""

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tasks.music.pictures import reconstructions, write_pictures
from tests.tasks.music import corpora
from tests.training import fit_of
from utils.report_utils.tensorboard import Projector


@pytest.mark.parametrize("kind", list(corpora.MODELS))
def test_pictures_show_a_window_and_what_the_autoencoder_makes_of_it(music, kind):
    task = fit_of(music.run(kind))._task
    model, data = task.model().eval(), task.data("val")
    with torch.inference_mode():
        short, long = reconstructions(task, "val", np.array([0, 1]))
        window = data.audio.batch(*data.windows().take(np.array([0])))
        lengths = torch.tensor([window.shape[1] if kind != "features" else 1])
        given, made = window, model(window, lengths).reconstruction
    if kind == "features":
        given = model.standardised(window, lengths)
    else:
        made = model.restored(made, window, lengths)
    assert len(long.given) == data.audio.max_length or kind == "features"
    if len(short.given) == window.shape[1]:  # a track of one window
        np.testing.assert_allclose(short.given, given[0], rtol=1e-5)
        np.testing.assert_allclose(short.made, made[0].detach(), rtol=1e-4, atol=1e-5)
    assert short.title == "piece 0 · artist 0 · low"


def test_tensorboard_shows_pictures_and_embeddings_once(music):
    task = fit_of(music.run("logmel"))._task
    task.model().eval()
    for _ in range(2):
        with torch.inference_mode():
            embeddings = task.track_embeddings("val")
            picture, folder = write_pictures(task, "val", music.folder / "trial", 3, embeddings, count=2)
    assert picture.name == "validation_reconstructions.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert sorted(path.name for path in picture.parent.iterdir()) == [picture.name, folder.name]
    assert len(list(folder.glob("events.*"))) == 1
    (event,) = EventAccumulator(str(folder)).Reload().Images("reconstructions")
    assert event.step == 3
    lines = (folder / "00003" / "default" / "metadata.tsv").read_text().splitlines()
    assert lines[:2] == ["genre\tartist\ttitle\talbum\ttrack_id", "low\tartist 0\tpiece 0\t\tvalidation-0"]
    points = np.loadtxt(folder / "00003" / "default" / "tensors.tsv", dtype=np.float32)
    np.testing.assert_allclose(points, embeddings, rtol=1e-5, atol=1e-7)
    assert "metadata.tsv" in (folder / "projector_config.pbtxt").read_text()


def test_a_projector_has_one_row_of_texts_a_point():
    with pytest.raises(ValueError, match=r"1 rows of \[2\] texts; expected 2 of 2"):
        Projector(np.zeros((2, 3), np.float32), ["a", "b"], [["x", "y"]])
