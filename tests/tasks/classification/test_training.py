"""Training a classifier through the common loop: what learns, killed and resumed, classes that have changed since."""

import os
import signal

import pytest
import torch

from postprocessing import classification_report
from tests.children import in_child
from tests.postprocessing.commands import error_of, run
from tests.tasks.classification import corpora
from tests.training import differences, fit_of, keep_checkpoints, reports_of
from utils.artefact_utils.labels import read_labels, write_labels
from utils.config_utils import to_mapping
from utils.model_utils.trials import checkpoint_folders

WINDOWS = "data.window_overlap=0.5"
LOSS = "criterion={name: CrossEntropy, class_weights: balanced, label_smoothing: 0.1, mixup: 0.3}"
# by parts: the pretrained network carefully, pooling and head as usual
RATES = "optimizer={name: AdamW, lr: 1.0e-3, groups: {audio_encoder.backbone: {lr: 1.0e-5}}}"
CNN10 = "model.audio_encoder={name: CNN10Encoder, base_channels: 2}"
PARTS = {
    "frozen": {"trainable": False, "pooling": "attention"},
    "feature encoder frozen": {"pooling": "statistics", "weighted_layers": True},
    "everything": {"freeze_feature_encoder": False},
}


def run_of(folder, part=None, *settings):
    """A CNN10 with dropout, or a part of a wav2vec 2.0."""
    encoder = [CNN10 if part is None else corpora.wave_encoder(folder, **PARTS[part])]
    encoder += [RATES] if part not in (None, "frozen") else []
    return corpora.run_of(folder, WINDOWS, LOSS, "training.epochs=3", *encoder, *settings)


def weights_of(fit):
    return {key: value.clone() for key, value in fit.model.state_dict().items() if value.is_floating_point()}


@pytest.mark.parametrize("part", PARTS)
def test_what_learns_and_how_fast(trained, part):
    fit = fit_of(run_of(trained, part, "training.epochs=1"))
    before = weights_of(fit)
    (row,) = reports_of(fit)
    changed = {key for key, value in weights_of(fit).items() if not torch.equal(value, before[key])}
    backbone = {key for key in changed if ".backbone." in key}
    assert "classifier.audio_encoder.fc_out.weight" in changed - backbone
    assert bool(backbone) == (part != "frozen")
    assert any(".feature_extractor." in key for key in backbone) == (part == "everything")
    moved = [float((weights_of(fit)[key] - before[key]).abs().max()) for key in backbone]
    assert all(distance < 1e-4 for distance in moved)  # five steps of 1e-5
    assert {"train_loss", "train_accuracy", "accuracy", "macro_f1", "val_loss", "epoch_s"} <= set(row)


def test_noise_of_two_bands_is_learnt(trained):
    settings = ("training.epochs=12", "model.audio_encoder.base_channels=4")
    rows = reports_of(fit_of(corpora.run_of(trained, WINDOWS, *settings)))
    assert rows[-1]["accuracy"] > 0.8
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["train_accuracy"] > 0.7


def train_until_killed(run, folder):
    """Die in the second batch of the third epoch."""
    fit = fit_of(run)
    step, seen = fit._train_step, []

    def counted(*args, **keys):
        seen.append(fit.epoch)
        if seen.count(3) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **keys)

    fit._train_step = counted
    fit.run(keep_checkpoints(folder), to_mapping(run))


@pytest.mark.parametrize("part", [None, "feature encoder frozen"])
def test_killed_and_resumed_is_as_never_killed(trained, tmp_path, part):
    run = run_of(trained, part, "training.epochs=4")
    whole = fit_of(run)
    whole.run(keep_checkpoints(tmp_path / "whole"), to_mapping(run))
    child = in_child(lambda: train_until_killed(run, tmp_path / "parts"))
    child.join()
    assert child.exitcode == -signal.SIGKILL
    torch.manual_seed(99)  # whatever was drawn before must not matter
    again = fit_of(run)
    again.restore(checkpoint_folders(tmp_path / "parts"))
    assert again.epoch == 2
    again.run(keep_checkpoints(tmp_path / "parts"), to_mapping(run))
    assert differences(whole.state({}), again.state({})) == []


def test_a_checkpoint_of_other_classes_is_refused(trained, capsys):
    """Here of names of the same length, which the shapes of the weights do not show."""
    path = corpora.run_of(trained).data.labels
    write_labels(path, [row._replace(category=row.category.replace("low", "Low")) for row in read_labels(path, "")])
    error = error_of(run(classification_report.main, capsys, trained))
    assert "was trained on the 2 classes 'high', 'low'; the training split has 2 now, 'Low', 'high'" in error
    assert "preprocessing.youtube_dataset" in error
    assert "main.py" in error
    assert error.count("\n") == 0
