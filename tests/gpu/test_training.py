"""Whole trainings on the tiny corpus: in bf16 and fp16 beside fp32, and resumed beside uninterrupted."""

import pytest
import torch

from tests.training import StoppedError, fit_of, keep_checkpoints, run_of
from utils.config_utils import to_mapping
from utils.model_utils.trials import checkpoint_folders

# windows of 0.4 s, random parts of longer clips; dropout in both encoders
SETTINGS = ("data.max_duration_s=0.4", "training.batch_size=3", "model.text_encoder.dropout=0.2")
# How far a loss of numbers of 8 (bf16) and 11 bits (fp16) may be off, as a share: batches of three clips, so that batch
# norm, whose variance is of three numbers, makes much of a rounding.
TOLERANCE = 0.1


# On a GPU the dropout that is drawn depends on the size of a number, and the losses would differ by more than rounding.
WITHOUT_DROPOUT = tuple(
    f"model.{key}=0" for key in ("text_encoder.dropout", "audio_encoder.dropout", "audio_encoder.fc_dropout")
)


def settings_for(device, *more):
    return *SETTINGS, f"training.device={device.type}", f"ray.gpus_per_trial={int(device.type == 'cuda')}", *more


def trained(run, folder, stop_after=None):
    """The weights after training, on the CPU, and the reports of all epochs."""
    torch.manual_seed(99)  # whatever was drawn before must not matter
    fit = fit_of(run)
    fit.restore(checkpoint_folders(folder) if folder.is_dir() else [])
    reports = []
    keep = keep_checkpoints(folder, stop_after)

    def report(metrics, save):
        reports.append(metrics)
        keep(metrics, save)

    try:
        fit.run(report, to_mapping(run))
    except StoppedError:
        assert stop_after is not None
    return {name: value.detach().cpu() for name, value in fit.model.state_dict().items()}, reports


def distance(one, two):
    """The largest difference of two sets of weights, as a share of each tensor's largest value."""
    assert one.keys() == two.keys()
    pairs = [(a.double(), two[name].double()) for name, a in one.items()]
    return max(((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item() for a, b in pairs if a.numel())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains_as_fp32_does_up_to_its_rounding(precision, device, prepared, tmp_path):
    losses = {}
    for name in ("fp32", precision):
        settings = settings_for(device, f"training.precision={name}", "training.epochs=3", *WITHOUT_DROPOUT)
        run = run_of(prepared, *settings)
        weights, reports = trained(run, tmp_path / name)
        assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
        assert all(value.isfinite().all() for value in weights.values())
        losses[name] = [metrics["train_loss"] for metrics in reports]
    print(f"{device.type} {precision}: train_loss {losses[precision]}, fp32 {losses['fp32']}")
    assert losses[precision] != losses["fp32"]  # it was another precision
    assert losses[precision] == pytest.approx(losses["fp32"], rel=TOLERANCE)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_resumed_training_equals_an_uninterrupted_one(precision, device, deterministic, prepared, tmp_path):
    """On a CPU to the bit. A GPU may add in another order from run to run, where it has no kernel of a fixed order.

    The bound is the GPU's own: the resumed training may be at most 10 times as far from an uninterrupted one as a
    second uninterrupted one is; equal to the bit where these two are. A training that starts its dropout anew is
    much farther away.
    """
    run = run_of(prepared, *settings_for(device, f"training.precision={precision}", "training.epochs=4"))
    whole, _ = trained(run, tmp_path / "whole")
    again, _ = trained(run, tmp_path / "again")
    trained(run, tmp_path / "parts", stop_after=2)
    resumed, reports = trained(run, tmp_path / "parts")
    assert [metrics["epoch"] for metrics in reports] == [3, 4]
    own, found = distance(again, whole), distance(resumed, whole)
    print(f"{device.type} {precision}: resumed {found:.2e}, two uninterrupted ones {own:.2e}")
    assert found <= 10 * own
    if device.type == "cpu":
        assert own == 0


def test_a_resume_without_the_random_states_would_be_seen(device, deterministic, prepared, tmp_path, monkeypatch):
    """Otherwise the bound of the test above could not fail."""
    run = run_of(prepared, *settings_for(device, "training.epochs=2"))
    whole, _ = trained(run, tmp_path / "whole")
    trained(run, tmp_path / "parts", stop_after=1)
    monkeypatch.setattr("utils.model_utils.loop.restore_ranks", lambda state, seed, path: torch.manual_seed(5))
    other, _ = trained(run, tmp_path / "parts")
    assert distance(other, whole) > 1e-3
