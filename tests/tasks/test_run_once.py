"""Frozen encoders run once in a training: the same losses and metrics, and later epochs decode and embed little."""

import json

import pytest
import torch

from models.audio_encoders.cnn10 import CNN10Encoder
from models.text_encoders.transformer import TransformerTextEncoder
from tests import tiny_models
from tests.tasks.classification import corpora
from tests.tasks.classification.conftest import _trained, trained  # noqa: F401 - fixtures
from tests.training import differences, fit_of, keep_checkpoints, run_of
from utils.data_utils import clip_features
from utils.data_utils.run_once import RunOnce, RunOnceClips
from utils.model_utils.trials import checkpoint_folders

FROZEN = "model.audio_encoder.trainable=false"
CLOCK = ("_s", "_share", "_gb")


def reports(run, epoch=lambda: None):
    """The metrics of every epoch but for the clock; `epoch` is called after each."""
    seen = []

    def report(metrics, save):
        seen.append({key: value for key, value in metrics.items() if not key.endswith(CLOCK)})
        epoch()

    fit = fit_of(run)
    fit.run(report, {})
    return seen, fit


def same(found, wanted):
    assert len(found) == len(wanted) > 2
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.fixture
def windows_read(monkeypatch):
    """The windows that were decoded."""
    read = []
    decode = clip_features.read_window

    def noting(path, rate_hz, start, samples):
        read.append((path.name, start))
        return decode(path, rate_hz, start, samples)

    monkeypatch.setattr(clip_features, "read_window", noting)
    return read


def wave_run(folder, *settings, **keys):
    return corpora.run_of(folder, corpora.wave_encoder(folder, trainable=False, **keys), *settings)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_a_classifier_on_waves_decodes_short_clips_once(trained, windows_read, monkeypatch, pooling):  # noqa: F811
    run = wave_run(trained, pooling=pooling)
    per_epoch = []
    found, fit = reports(run, lambda: (per_epoch.append(list(windows_read)), windows_read.clear()))
    # 12 recordings of training and 6 of validation, of which one each is three windows
    first, *later = per_epoch
    assert {name for name, _ in first} == {clip.fname for role in ("train", "val") for clip in run_clips(run, role)}
    assert [[name for name, _ in read] for read in later] == [[f"development {corpora.LONG}.wav"]] * 2
    monkeypatch.setattr(RunOnce, "split", lambda self, split: split)
    wanted, as_before = reports(run)
    same(found, wanted)
    for one, other in zip(fit.model.parameters(), as_before.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def run_clips(run, role):
    return run.build(role).data(role).clips


def test_a_resumed_run_is_as_one_never_broken_off(trained, tmp_path):  # noqa: F811
    run = wave_run(trained, weighted_layers=True)
    whole = fit_of(run)
    whole.run(keep_checkpoints(tmp_path), {})
    resumed = fit_of(run)
    resumed.restore(checkpoint_folders(tmp_path)[:1])
    resumed.run(lambda metrics, save: None, {})
    assert differences(whole.state({}), resumed.state({})) == []


def test_mixup_and_an_encoder_that_learns_leave_the_inputs_as_they_are(trained):  # noqa: F811
    for run in (wave_run(trained, "criterion.mixup=0.2"), corpora.run_of(trained, corpora.wave_encoder(trained))):
        assert not isinstance(run.build()._taken(run.build().data("train")).audio, RunOnceClips)


def test_stage_3_hands_over_the_clips_themselves(trained):  # noqa: F811
    task = wave_run(trained).build("eval")
    assert task._taken(task.data("eval")) is task.data("eval")


def test_log_mels_and_captions_of_a_dual_encoder(prepared, monkeypatch):
    tiny_models.write_bert(prepared / "bert")
    text = {"name": "TransformerTextEncoder", "model": str(prepared / "bert"), "trainable": False}
    settings = [FROZEN, f"model.text_encoder={json.dumps(text)}", "training.epochs=3", "optimizer.lr=0.01"]
    run = run_of(prepared, *settings, "data.max_duration_s=2")
    calls = []
    note_calls(CNN10Encoder, calls, monkeypatch)
    note_calls(TransformerTextEncoder, calls, monkeypatch)
    per_epoch = []
    found, _ = reports(run, lambda: (per_epoch.append({*calls}), calls.clear()))
    assert per_epoch == [{"CNN10Encoder", "TransformerTextEncoder"}, set(), set()]  # no clip is longer than a window
    monkeypatch.setattr(RunOnce, "split", lambda self, split: split)
    wanted, _ = reports(run)
    same(found, wanted)


def note_calls(kind, calls, monkeypatch):
    """Add the name of the class to `calls` whenever its pretrained part runs."""
    embed = kind.embed

    def noting(encoder, *arguments):
        calls.append(kind.__name__)
        return embed(encoder, *arguments)

    monkeypatch.setattr(kind, "embed", noting)
