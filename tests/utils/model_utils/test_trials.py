import json
import math
import os
import tempfile
from pathlib import Path

import pytest

from tests.training import StubTask, StubTraining, keep_checkpoints, stub_fit
from tests.utils.artefact_utils.test_hostile_hdf5 import no_permission
from utils.artefact_utils import write_json
from utils.cli_utils import ArtefactError, UserError
from utils.model_utils import Selection, find_trial, read_checkpoint, read_history, write_checkpoint
from utils.model_utils.trials import checkpoint_folders

MODES = {"mAP@10": "max", "val_loss": "min", "error": "min", "log_loss_gain": "max"}


def write(experiment, trial, select_on, values):
    """A trial whose checkpoints have these values of select_on, epoch by epoch."""
    folder = experiment / trial
    write_json(folder / "params.json", {"training": {"select_on": select_on}})
    for epoch, value in enumerate(values, 1):
        path = folder / f"checkpoint_{epoch - 1:06d}"
        write_checkpoint(path, {"epoch": epoch}, {select_on: value}, Selection(select_on, MODES[select_on]))


@pytest.mark.parametrize(
    ("select_on", "trial", "checkpoint"),
    [
        ("mAP@10", "trial_00001", "checkpoint_000001"),
        ("val_loss", "trial_00000", "checkpoint_000002"),
        ("error", "trial_00000", "checkpoint_000002"),  # what the checkpoint says, not what the name looks like
        ("log_loss_gain", "trial_00001", "checkpoint_000001"),
    ],
)
def test_the_best_checkpoint_of_the_best_trial(select_on, trial, checkpoint, tmp_path):
    write(tmp_path, "trial_00000", select_on, [0.3, 0.4, 0.1])
    write(tmp_path, "trial_00001", select_on, [0.2, 0.9, 0.5])
    found = find_trial(tmp_path)
    assert (found.folder.name, found.checkpoint.folder.name, found.is_best) == (trial, checkpoint, True)
    assert found.params == {"training": {"select_on": select_on}}


def test_a_task_whose_metric_is_better_when_lower_from_training_to_stage_3(tmp_path):
    for trial, values in (("trial_00000", [0.5, 0.2, 0.9]), ("trial_00001", [0.4, 0.3, 0.8])):
        training = StubTraining(epochs=3, select_on="error")
        write_json(tmp_path / trial / "params.json", {"training": training.model_dump(mode="json")})
        fit = stub_fit(StubTask(values, "error"), training)
        fit.run(keep_checkpoints(tmp_path / trial), {})
    found = find_trial(tmp_path)
    assert (found.folder.name, found.checkpoint.epoch, found.checkpoint.metrics["error"]) == ("trial_00000", 2, 0.2)
    assert find_trial(tmp_path, "trial_00001").checkpoint.epoch == 2


def test_equal_values_go_to_the_earlier_epoch_and_trial(tmp_path):
    for trial in ("trial_00001", "trial_00000"):
        write(tmp_path, trial, "mAP@10", [0.2, 0.5, 0.5])
    found = find_trial(tmp_path)
    assert (found.folder.name, found.checkpoint.epoch) == ("trial_00000", 2)


@pytest.mark.parametrize("select_on", ["mAP@10", "val_loss"])
def test_nan_is_never_the_best(select_on, tmp_path):
    write(tmp_path, "trial_00000", select_on, [math.nan, 0.2])
    write(tmp_path, "trial_00001", select_on, [math.nan])
    found = find_trial(tmp_path)
    assert (found.folder.name, found.checkpoint.epoch) == ("trial_00000", 2)


def test_a_trial_and_a_checkpoint_by_name(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.3, 0.4])
    write(tmp_path, "trial_00001", "mAP@10", [0.2, 0.1])
    found = find_trial(tmp_path, "trial_00001")
    assert (found.folder.name, found.checkpoint.epoch, found.is_best) == ("trial_00001", 1, False)
    found = find_trial(tmp_path, "trial_00000", "checkpoint_000000")
    assert (found.checkpoint.epoch, found.is_best) == (1, True)


def test_an_unfinished_checkpoint_is_passed_over(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.3, 0.4])
    (tmp_path / "trial_00000" / "checkpoint_000001" / "checkpoint.json").unlink()
    assert find_trial(tmp_path).checkpoint.epoch == 1
    with pytest.raises(UserError, match=r"checkpoint 'checkpoint_000001' does not exist; choices: checkpoint_000000"):
        find_trial(tmp_path, None, "checkpoint_000001")


@pytest.mark.parametrize("hidden", [".", "trial_00001", "trial_00001/checkpoint_000001"])
def test_a_folder_that_may_not_be_read_is_not_passed_over(hidden):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        experiment = Path(folder) / "e"
        write(experiment, "trial_00000", "mAP@10", [0.1])
        write(experiment, "trial_00001", "mAP@10", [0.2, 0.3])
        with no_permission(experiment / hidden), pytest.raises(PermissionError) as error:
            find_trial(experiment)
        (experiment / hidden).chmod(0o755)
        assert str(error.value.filename).startswith(str(experiment / hidden))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"run .*none does not exist; train first: <make training>"):
        find_trial(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"run .*empty holds no trial; train first: <make training>"):
        find_trial(tmp_path / "empty")
    write(tmp_path / "run", "trial_00000", "mAP@10", [])
    with pytest.raises(UserError, match=r"no trial has finished an epoch yet; go on: <make training --resume>"):
        find_trial(tmp_path / "run")
    write(tmp_path / "run", "trial_00001", "mAP@10", [0.1])
    with pytest.raises(UserError, match=r"trial 'best' does not exist; choices: trial_00000, trial_00001"):
        find_trial(tmp_path / "run", "best")
    with pytest.raises(UserError, match=r"checkpoint 'last' does not exist; choices: checkpoint_000000"):
        find_trial(tmp_path / "run", None, "last")
    with pytest.raises(UserError, match=r"trial_00000 has no checkpoint yet; go on: <make training --resume>"):
        find_trial(tmp_path / "run", "trial_00000")


def test_broken_settings_of_a_trial_are_told(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.1])
    path = tmp_path / "trial_00000" / "params.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UserError, match=r"params\.json: not valid JSON"):
        find_trial(tmp_path)
    path.write_text(json.dumps({"training": {}}))
    with pytest.raises(UserError, match=r"params\.json: .*select_on"):
        find_trial(tmp_path)


def test_checkpoints_are_listed_by_epoch_whatever_their_names(tmp_path):
    for name, epoch in (("checkpoint_000010", 7), ("checkpoint_000002", 8), ("checkpoint_000003", 6)):
        write_checkpoint(tmp_path / name, {"epoch": epoch}, {})
    (tmp_path / "checkpoint_000004").mkdir()  # was never finished
    (tmp_path / "checkpoint_note").write_text("a file")
    (tmp_path / "checkpoint_000003" / "checkpoint.json").write_text("{")  # broken: looked at first, and told
    names = [p.name for p in checkpoint_folders(tmp_path)]
    assert names == ["checkpoint_000010", "checkpoint_000002", "checkpoint_000003"]


def test_a_broken_best_checkpoint_is_told(tmp_path, capsys):
    write(tmp_path, "trial_00000", "mAP@10", [0.4, 0.3])
    (tmp_path / "trial_00000" / "checkpoint_000000" / "checkpoint.json").write_text("{}")
    assert find_trial(tmp_path).checkpoint.epoch == 2
    assert "skipped: " in capsys.readouterr().out


def truncate(folder):
    path = folder / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1])


def test_a_truncated_best_checkpoint_gives_way_to_the_next_best(tmp_path, capsys):
    write(tmp_path, "trial_00000", "mAP@10", [0.5, 0.9, 0.7])
    write(tmp_path, "trial_00001", "mAP@10", [0.8])
    truncate(tmp_path / "trial_00000" / "checkpoint_000001")
    found = find_trial(tmp_path)
    assert (found.folder.name, found.checkpoint.epoch, found.is_best) == ("trial_00001", 1, True)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"skipped, though better than the next: {tmp_path}/trial_00000/checkpoint_000001")
    assert "truncated or changed" in line
    found = find_trial(tmp_path, "trial_00000")
    assert (found.checkpoint.epoch, found.is_best) == (3, False)


def test_a_truncated_checkpoint_that_is_named_is_still_refused(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.5, 0.9])
    truncate(tmp_path / "trial_00000" / "checkpoint_000001")
    found = find_trial(tmp_path, "trial_00000", "checkpoint_000001")
    with pytest.raises(ArtefactError, match=r"checkpoint_000001/checkpoint\.pt: truncated or changed"):
        read_checkpoint(found.checkpoint.folder)


def test_no_whole_checkpoint_at_all(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.5])
    (tmp_path / "trial_00000" / "checkpoint_000000" / "checkpoint.pt").unlink()
    with pytest.raises(UserError, match=r"run .*: no checkpoint is whole; train again: <make training --fresh>"):
        find_trial(tmp_path)


def test_a_direction_that_was_not_noted_is_not_guessed(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.2, 0.5])
    for path in tmp_path.glob("trial_00000/*/checkpoint.json"):
        facts = json.loads(path.read_text())
        del facts["selection"]
        path.write_text(json.dumps(facts))
    with pytest.raises(
        ArtefactError,
        match=r"checkpoint\.json: does not name .* nor whether higher is better: .*<make training --fresh>$",
    ):
        find_trial(tmp_path)


def test_a_repeated_epoch_counts_as_it_was_written_last(tmp_path):
    write(tmp_path, "trial_00000", "mAP@10", [0.3, 0.9])
    trial = tmp_path / "trial_00000"
    write_checkpoint(trial / "checkpoint_000000", {"epoch": 2}, {"mAP@10": 0.9}, Selection("mAP@10", "max"))
    os.utime(trial / "checkpoint_000001" / "checkpoint.json", (1, 1))  # numbered anew by a resumed trial
    assert [p.name for p in checkpoint_folders(trial)] == ["checkpoint_000001", "checkpoint_000000"]
    assert find_trial(tmp_path).checkpoint.folder.name == "checkpoint_000000"


def test_the_history_has_each_epoch_once(tmp_path):
    lines = [{"epoch": 1, "loss": 3}, {"epoch": 2, "loss": 2}, {"epoch": 2, "loss": 1}, {"epoch": 3, "loss": 0}]
    text = "\n".join(json.dumps(line) for line in lines)
    (tmp_path / "result.json").write_text(text[:-4] + '\n{"no": "epoch"}\n')  # the last line is cut short
    assert [(row["epoch"], row["loss"]) for row in read_history(tmp_path)] == [(1, 3), (2, 1)]
    assert read_history(tmp_path / "nowhere") == []


def test_a_history_that_somebody_wrote_is_read_as_far_as_it_is_one(tmp_path):
    lines = [b"[1]", b"3", b'{"epoch": "2", "loss": 1}', b'{"epoch": true}', b"\xff\xfe", b"[" * 100_000, b"{}"]
    lines.append(b'{"epoch": 1, "loss": 0.5, "mAP@10": "0.5", "trial_id": "a", "config": {"a": 1}, "ended": false}')
    (tmp_path / "result.json").write_bytes(b"\n".join(lines))
    assert read_history(tmp_path) == [{"epoch": 1, "loss": 0.5}]
