"""Totals of trials, by hand: epochs, seconds, mean and best of what the line of an epoch shows."""

import json
import math
from typing import ClassVar

import pytest

from tasks.runs import SYSTEMS
from tests.training import StubTraining
from utils.tune_utils.totals import MetricTotals, totals_of, write_totals


class Training(StubTraining):
    also_printed: ClassVar[tuple[str, ...]] = ("train_R@1", "R@1", "val_loss")


TRAINING = Training(select_on="mAP@10")
ROWS = [
    {"train_loss": 3.0, "mAP@10": 0.25, "train_R@1": 0.5, "val_loss": 2.0, "epoch_s": 1.5, "lr": 1e-3},
    {"train_loss": 1.0, "mAP@10": 0.75, "train_R@1": 0.25, "val_loss": 1.0, "epoch_s": 1.0, "R@1": 0.5},
    {"train_loss": 2.0, "mAP@10": 0.75, "train_R@1": 0.75, "val_loss": 3.0, "epoch_s": 0.5, "R@1": 0.0},
]


def write_history(trial, rows=ROWS):
    trial.mkdir()
    lines = [json.dumps({"epoch": epoch, **row}) + "\n" for epoch, row in enumerate(rows, 1)]
    (trial / "result.json").write_text("".join(lines))
    return trial


def test_by_hand(tmp_path):
    found = totals_of(write_history(tmp_path / "a"), TRAINING)
    assert (found.epochs, found.seconds) == (3, 3.0)
    assert found.metrics == {
        "train_loss": MetricTotals(2.0, 1.0, 2),
        "mAP@10": MetricTotals(pytest.approx(7 / 12), 0.75, 2),  # of equal values the earlier epoch
        "train_R@1": MetricTotals(0.5, 0.75, 3),
        "R@1": MetricTotals(0.25, 0.5, 2),  # over the epochs that measured it
        "val_loss": MetricTotals(2.0, 1.0, 2),
    }


def test_a_repeated_epoch_counts_once_and_what_is_not_finite_not_at_all(tmp_path):
    trial = write_history(tmp_path / "a")
    with (trial / "result.json").open("a") as stream:  # epoch 3 again, after a kill
        stream.write(json.dumps({"epoch": 3, "train_loss": math.nan, "mAP@10": 0.5, "epoch_s": 0.5}) + "\n")
    found = totals_of(trial, TRAINING)
    assert (found.epochs, found.seconds) == (3, 3.0)
    assert found.metrics["train_loss"] == MetricTotals(2.0, 1.0, 2)
    assert found.metrics["mAP@10"] == MetricTotals(0.5, 0.75, 2)


def test_they_are_printed_and_written_for_every_trial(tmp_path, capsys):
    for name in ("trial_00000", "trial_00001"):
        write_history(tmp_path / name)
    (tmp_path / "trial_00002").mkdir()  # which has diverged in its first epoch
    write_totals(tmp_path, ["trial_00000", "trial_00001", "trial_00002"], TRAINING)
    written = json.loads((tmp_path / "trial_00001" / "totals.json").read_text())
    assert written["metrics"]["val_loss"] == {"mean": 2.0, "best": 1.0, "best_epoch": 2}
    assert (written["format_version"], written["epochs"], written["seconds"]) == (1, 3, 3.0)
    assert not (tmp_path / "trial_00002" / "totals.json").exists()
    cells = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert [row for row in cells if row and row[0].startswith("trial_0")] == [
        [name, "3", "epochs", "3.0", "s", "in", "all"] for name in ("trial_00000", "trial_00001")
    ]
    assert cells.count(["train_R@1", "0.5000", "0.7500", "3"]) == 2


def test_of_many_trials_the_first_are_printed(tmp_path, capsys):
    names = [f"trial_{number:05d}" for number in range(23)]
    for name in names:
        write_history(tmp_path / name, ROWS[:1])
    write_totals(tmp_path, names, TRAINING)
    assert all((tmp_path / name / "totals.json").is_file() for name in names)
    out = capsys.readouterr().out
    assert out.count("trial_0") == 20
    assert out.splitlines()[-1] == f"of the other 3: {tmp_path}/*/totals.json"


def test_a_system_that_prints_what_it_does_not_measure_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match=r"^Broken\.also_printed: higher_is_better does not name speed, train_speed$"):
        type("Broken", (StubTraining,), {"also_printed": ("R@1", "speed", "train_speed"), "__module__": __name__})


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.__name__)
def test_of_every_system_it_is_known_which_values_are_better(system):
    training = system.model_fields["training"].get_default()
    assert {training.mode_of(metric) for metric in training.printed} <= {"min", "max"}
    assert training.printed[0] == "train_loss"
