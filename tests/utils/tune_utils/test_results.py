import csv
import json
import math
import os

import pytest

from utils.artefact_utils import write_json
from utils.model_utils import read_history
from utils.model_utils.trials import read_rows
from utils.tune_utils.results import Results, number, repair_rows


def metrics(epoch, value=0.5, **more):
    return {"epoch": float(epoch), "mAP@10": value, **more}


@pytest.fixture
def trial(tmp_path):
    (tmp_path / "trial_00000").mkdir()
    return tmp_path / "trial_00000"


def progress(trial):
    with (trial / "progress.csv").open(newline="") as stream:
        return [(float(row["epoch"]), float(row["mAP@10"])) for row in csv.DictReader(stream)]


def history(trial):
    return [(row["epoch"], row["mAP@10"]) for row in read_history(trial)]


def test_rows_are_on_disk_as_they_come(trial):
    results = Results(trial.parent)
    for epoch, value in enumerate([0.1, 0.2, 0.3], 1):
        results.add("trial_00000", metrics(epoch, value))
        assert progress(trial) == history(trial) == [(n, n / 10) for n in range(1, epoch + 1)]
    assert [row["arrival"] for row in read_rows(trial).values()] == [1, 2, 3]


def test_a_repeated_epoch_counts_once_and_keeps_its_place(trial):
    results = Results(trial.parent)
    for epoch, value in [(1, 0.1), (2, 0.2), (3, 0.3)]:
        results.add("trial_00000", metrics(epoch, value))
    again = Results(trial.parent, arrived=3)
    for epoch, value in [(2, 0.25), (3, 0.35), (4, 0.4)]:
        again.add("trial_00000", metrics(epoch, value))
    assert progress(trial) == history(trial) == [(1, 0.1), (2, 0.25), (3, 0.35), (4, 0.4)]
    assert [row["arrival"] for row in read_rows(trial).values()] == [1, 2, 3, 4]


def test_a_new_column_is_empty_where_it_was_not_measured(trial):
    results = Results(trial.parent)
    results.add("trial_00000", metrics(1))
    results.add("trial_00000", metrics(2, extra=7))
    with (trial / "progress.csv").open(newline="") as stream:
        assert [row["extra"] for row in csv.DictReader(stream)] == ["", "7"]


def test_lines_that_are_no_rows_are_passed_over(trial):
    lines = ['{"epoch": 1, "x": 1}', "[]", '{"epoch": "a"}', '{"epoch": Infinity}', '{"x": 1}', '{"epoch": -1}']
    lines += ["[" * 100_000, '{"epoch": 1e400}', '{"epoch": true}', '{"epoch": 2, "x": 1}', '{"epoch": 3, "x']
    (trial / "result.json").write_text("\n".join(lines))
    assert read_rows(trial) == {1: {"epoch": 1, "x": 1}, 2: {"epoch": 2, "x": 1}}


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1.0), (0.5, 0.5), (True, None), ("1", None), (None, None), (math.inf, None)]
)
def test_numbers(value, expected):
    assert number({"a": value}, "a") == expected


def test_numbers_may_be_nan_but_not_too_large():
    assert math.isnan(number({"a": math.nan}, "a"))
    assert number({"a": 10**400}, "a") is None
    assert number({}, "a") is None


def checkpoint(trial, epoch, mtime_s, **more):
    folder = trial / f"checkpoint_{epoch - 1:06d}"
    write_json(folder / "checkpoint.json", {"epoch": epoch, "metrics": metrics(epoch, **more), "blake2b": ""})
    os.utime(folder, (mtime_s, mtime_s))


def test_an_epoch_that_only_a_checkpoint_knows_gets_its_row(tmp_path):
    """The search was killed after the checkpoint was there, and before its row was."""
    one, other = tmp_path / "trial_00000", tmp_path / "trial_00001"
    for trial in (one, other):
        trial.mkdir()
        Results(tmp_path).add(trial.name, metrics(1))
    checkpoint(one, 1, 50)
    checkpoint(one, 2, 200, value=0.7)
    checkpoint(other, 2, 100, value=0.6)
    (one / "result.json").write_text((one / "result.json").read_text() + '{"epoch": 2, "mAP')
    write_json(one / "checkpoint_000002" / "checkpoint.json", {"epoch": 3})  # broken: no row
    order = repair_rows(tmp_path, ["trial_00000", "trial_00001", "trial_00002"])
    assert [(trial, row["epoch"]) for trial, row in order[2:]] == [("trial_00001", 2), ("trial_00000", 2)]
    assert progress(one) == history(one) == [(1, 0.5), (2, 0.7)]
    assert progress(other) == [(1, 0.5), (2, 0.6)]
    assert repair_rows(tmp_path, ["trial_00000", "trial_00001"]) == order


def test_rows_of_an_earlier_version_are_ordered_by_their_time(tmp_path):
    times = {"trial_00000": [30, 40], "trial_00001": [10, 35]}
    for name, seconds in times.items():
        (tmp_path / name).mkdir()
        rows = [metrics(n, timestamp=time, config={"a": {"b": 1}}) for n, time in enumerate(seconds, 1)]
        (tmp_path / name / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    order = repair_rows(tmp_path, times)
    assert [(name, row["timestamp"], row["arrival"]) for name, row in order] == [
        ("trial_00001", 10, 1),
        ("trial_00000", 30, 2),
        ("trial_00001", 35, 3),
        ("trial_00000", 40, 4),
    ]
    header = (tmp_path / "trial_00000" / "progress.csv").read_text().splitlines()[0]
    assert header == "epoch,mAP@10,timestamp,arrival"
