"""Losses and metrics of an autoencoder's task, against sums over single windows."""

import numpy as np
import pytest
import torch

from tasks.music.measures import chance_of, retrieval_metrics
from tests.training import fit_of, reports_of
from utils.artefact_utils import Track
from utils.model_utils import DivergedError

KINDS = ["features", "wave", "logmel"]


def track(number, genre, artist):
    return Track(str(number), str(number), "validation", "", f"piece {number}", artist, "", genre, (), 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_errors_of_a_split_are_the_sums_over_its_windows(music, kind):
    task = fit_of(music.run(kind, "training.batch_size=3"))._task
    model, data = task.model().eval(), task.data("val")
    with torch.inference_mode():
        metrics = task.metrics(task.outputs("val"))
        error = energy = numbers = 0.0
        windows = data.windows()
        for row in range(len(windows.clips)):
            one = windows.take(np.array([row]))
            inputs, lengths = data.audio.batch(*one), torch.from_numpy(one.lengths)
            standardised = model.standardised(inputs, lengths)
            error += (model(inputs, lengths).reconstruction - standardised).double().square().sum().item()
            energy += standardised.double().square().sum().item()
            numbers += standardised.numel()
    assert metrics["val_mse"] == pytest.approx(error / numbers, rel=1e-5)
    assert metrics["mean_prediction_mse"] == pytest.approx(energy / numbers, rel=1e-5)
    assert metrics["explained_variance"] == pytest.approx(1 - error / energy, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_weighs_a_batch_by_its_numbers(music, kind):
    task = fit_of(music.run(kind))._task
    model = task.model().eval()
    windows = task.data("train")[next(iter(task.data("train").sampler(4, 0)))]
    losses = task.losses(windows)
    error, count = model.reconstruction_error(model(windows["audio"], windows["lengths"]), windows["lengths"])
    assert losses["mse"].item() == pytest.approx(error.item() / count, rel=1e-5)
    assert losses["weight"].item() == windows["lengths"].sum().item()


def test_every_epoch_reports_references_and_recommendations(music, capsys):
    run = music.run("logmel", "model.variational=true", "training.extra_passes=[eval]")
    rows = reports_of(fit_of(run))
    for row in rows:
        assert {"train_mse", "train_kl", "val_kl", "val_mse", "explained_variance", "dead_units"} <= set(row)
        assert {"genre_precision@5", "genre_mAP", "artist_precision@5", "artist_mAP"} <= set(row)
        assert row["pca_explained_variance"] == rows[0]["pca_explained_variance"]
    assert "eval_pass_explained_variance" in rows[0]
    assert "eval_pass_pca_explained_variance" not in rows[0]
    assert capsys.readouterr().out.count("mean prediction 0, PCA 0.") == 1


def test_units_that_say_nothing_are_counted(music):
    task = fit_of(music.run("features"))._task
    linear = task.model().eval().bottleneck.code.linear
    with torch.no_grad():
        linear.weight[1:3] = 0
        linear.bias[1:3] = 7
    with torch.inference_mode():
        assert task.metrics(task.outputs("val"))["dead_units"] == 2


def test_an_autoencoder_learns_more_than_the_mean(music):
    rows = reports_of(fit_of(music.run("features", "training.epochs=40", "model.noise=0")))
    assert rows[0]["explained_variance"] < rows[-1]["explained_variance"]
    assert rows[-1]["explained_variance"] > 0.2


def test_weights_that_are_not_finite_are_reported(music):
    task = fit_of(music.run("features"))._task
    with torch.no_grad():
        next(task.model().parameters()).fill_(float("nan"))
    task.model().eval()
    with torch.inference_mode(), pytest.raises(DivergedError, match="reconstruction is not finite"):
        task.metrics(task.outputs("val"))


def test_recommendations_by_hand():
    """Two pairs in opposite directions: with genres by pairs every nearest track is right, with artists across none."""
    tracks = [track(0, "a", "x"), track(1, "a", "y"), track(2, "b", "x"), track(3, "b", "y")]
    embeddings = np.array([[2, 1], [2, 1.1], [-2, 1], [-2, 1.1]], np.float32)
    found = retrieval_metrics(embeddings, tracks)
    assert found["genre_mAP"] == 1
    assert found["artist_mAP"] < 0.6
    assert found["genre_precision@5"] == pytest.approx(1 / 5)
    assert retrieval_metrics(np.ones((4, 2), np.float32), tracks) == chance_of(tracks)


def test_labels_that_no_two_tracks_share_are_not_measured():
    tracks = [track(0, "a", ""), track(1, "a", "x"), track(2, "", "y")]
    assert set(chance_of(tracks)) == {"genre_precision@5", "genre_mAP"}
    assert chance_of(tracks)["genre_precision@5"] == pytest.approx(1 / 2 * 2 / 5)
    assert chance_of(tracks[:1]) == {}
