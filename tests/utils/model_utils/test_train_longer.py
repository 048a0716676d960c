"""A run whose training.epochs are raised goes on from its last checkpoint."""

import pytest

from tests.training import differences, fit_of, keep_checkpoints, run_of
from utils.config_utils import to_mapping
from utils.model_utils.trials import checkpoint_folders

SETTINGS = ("training.batch_size=3", "optimizer={name: AdamW, lr: 0.01}", "training.select_on=val_loss")


def trained(run, folder):
    fit = fit_of(run)
    fit.restore(checkpoint_folders(folder))
    fit.run(keep_checkpoints(folder), to_mapping(run))
    return fit


@pytest.mark.parametrize("schedule", ["{name: none}", "{name: ReduceLROnPlateau, patience: 0}"])
def test_it_is_the_same_as_one_that_was_longer_from_the_start(schedule, prepared, tmp_path, capsys):
    settings = (*SETTINGS, f"lr_scheduler={schedule}")
    trained(run_of(prepared, *settings, "training.epochs=2"), tmp_path / "parts")
    longer = run_of(prepared, *settings, "training.epochs=3")
    whole = trained(longer, tmp_path / "whole")
    capsys.readouterr()
    again = trained(longer, tmp_path / "parts")
    assert differences(again.state({}), whole.state({})) == []
    assert "training.epochs" not in capsys.readouterr().out


def test_a_schedule_over_all_epochs_goes_on_as_the_longer_one_and_a_line_says_so(prepared, tmp_path, capsys):
    settings = (*SETTINGS, "lr_scheduler={name: WarmupCosine, warmup_epochs: 1}")
    short = trained(run_of(prepared, *settings, "training.epochs=2"), tmp_path / "parts")
    assert short._optimizer.param_groups[0]["lr"] == pytest.approx(0.0)  # the end of its cosine
    longer = run_of(prepared, *settings, "training.epochs=3")
    resumed = fit_of(longer)
    resumed.restore(checkpoint_folders(tmp_path / "parts"))
    assert resumed._optimizer.param_groups[0]["lr"] == pytest.approx(0.005)  # half of the cosine over epochs 2 and 3
    line = capsys.readouterr().out.splitlines()[-2]
    assert line.startswith(
        "training.epochs 2 -> 3: the learning rate goes on as if the schedule had been planned over 3"
    )
    assert line.endswith("from the start: 0.00e+00 -> 5.00e-03")
    resumed.run(keep_checkpoints(tmp_path / "parts"), to_mapping(longer))
    assert resumed.epoch == 3
    assert resumed._optimizer.param_groups[0]["lr"] == pytest.approx(0.0)
