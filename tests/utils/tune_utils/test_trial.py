import json
import os
from functools import partial

import pytest
import torch

from tests.training import StubTask, StubTraining, stub_fit
from utils.cli_utils import UserError
from utils.model_utils import Selection, read_checkpoint, read_facts, write_checkpoint
from utils.model_utils.trials import checkpoint_folders, read_end
from utils.tune_utils import RaySpec
from utils.tune_utils.rank import KeepCheckpoints, TrialStart, enter
from utils.tune_utils.trial import train_trial


def save(epoch, value):
    return partial(write_checkpoint, state={"epoch": epoch}, metrics={"val_loss": value, "epoch": float(epoch)})


def keep_all(trial, values, best=2):
    keep = KeepCheckpoints(trial, best, Selection("val_loss", "min"))
    for epoch, value in enumerate(values, 1):
        keep(epoch, save(epoch, value))
    return [folder.name for folder in checkpoint_folders(trial)]


@pytest.fixture
def trial(tmp_path):
    (tmp_path / "trial_00000").mkdir()
    return tmp_path / "trial_00000"


@pytest.mark.parametrize(
    ("values", "epochs"),
    [
        ([5.0, 4.0, 3.0, 2.0], [3, 4]),
        ([1.0, 2.0, 3.0, 4.0], [1, 2, 4]),  # the last one is always kept
        ([3.0, 3.0, 3.0, 3.0], [1, 2, 4]),  # equal values: the earlier ones
        ([float("nan"), 9.0, 9.5, 10.0], [2, 3, 4]),
    ],
)
def test_the_best_checkpoints_and_the_last_are_kept(values, epochs, trial):
    assert keep_all(trial, values) == [f"checkpoint_{epoch - 1:06d}" for epoch in epochs]
    assert sorted(p.name for p in trial.parent.iterdir()) == ["trial_00000"]


def test_a_checkpoint_is_whole_or_not_there(trial):
    def killed(folder):
        save(1, 1.0)(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KeepCheckpoints(trial, 2, Selection("val_loss", "min"))(1, killed)
    assert list(trial.iterdir()) == []


def test_what_was_kept_before_a_resume_counts_after_it(trial):
    keep_all(trial, [1.0, 2.0, 3.0])
    KeepCheckpoints(trial, 2, Selection("val_loss", "min"))(4, save(4, 1.5))
    assert [read_facts(folder).epoch for folder in checkpoint_folders(trial)] == [1, 4]


def test_a_broken_checkpoint_gives_way_to_that_of_the_repeated_epoch(trial):
    keep_all(trial, [3.0, 2.0])
    (trial / "checkpoint_000001" / "checkpoint.json").write_text("{")
    KeepCheckpoints(trial, 2, Selection("val_loss", "min"))(2, save(2, 2.0))
    assert [read_facts(folder).epoch for folder in checkpoint_folders(trial)] == [1, 2]


def test_another_epoch_under_the_same_number_is_not_lost(trial):
    """An earlier version numbered checkpoints anew after a resume."""
    save(6, 0.5)(trial / "checkpoint_000003")
    KeepCheckpoints(trial, 5, Selection("val_loss", "min"))(4, save(4, 1.0))
    assert {folder.name: read_facts(folder).epoch for folder in checkpoint_folders(trial)} == {
        "checkpoint_000003": 6,
        "checkpoint_000004": 4,
    }


def test_a_machine_without_the_folders_is_named(tmp_path):
    with pytest.raises(UserError, match=rf"machine \S+ does not see {tmp_path}/no; all machines of a cluster need the"):
        enter(tmp_path / "no", tmp_path)
    with pytest.raises(UserError, match=rf"does not see {tmp_path}; all machines"):
        enter(tmp_path, tmp_path)


@pytest.fixture
def start_of(trial, monkeypatch):
    (trial.parent / "experiment.json").write_text("{}")
    monkeypatch.chdir(trial.parent)
    threads = torch.get_num_threads()
    yield partial(make_start, trial)
    torch.set_num_threads(threads)


def make_start(trial, task, epochs=3, **spec):
    training = StubTraining(epochs=epochs)

    def fit_of(settings):
        task.device = settings["training"]["device"]
        return stub_fit(task, training)

    return TrialStart(fit_of, RaySpec(**spec), trial.parent, trial.parent)


def config():
    settings = {"training": {"device": "auto"}}
    return {"trial": {"name": "trial_00000", "settings": json.dumps(settings)}}


def test_a_trial_that_diverges_is_marked_and_ends_well(start_of, trial, monkeypatch):
    task = StubTask(x=float("nan"))
    train_trial(config(), start_of(task))
    end = read_end(trial)
    assert (end.reason, end.epoch) == ("diverged", 0)
    assert "loss" in end.message


def test_a_trial_reports_after_its_checkpoint_is_there(start_of, trial, monkeypatch):
    from ray import tune

    seen = []
    monkeypatch.setattr(tune, "report", lambda result: seen.append((result, checkpoint_folders(trial)[-1].name)))
    train_trial(config(), start_of(StubTask([0.1, 0.2, 0.3])))
    assert [name for _, name in seen] == [f"checkpoint_{n:06d}" for n in range(3)]
    assert [result["metrics"]["mAP@10"] for result, _ in seen] == [0.1, 0.2, 0.3]
    assert read_end(trial) is None  # the driver says so, when the last row is written


@pytest.mark.parametrize(("gpus", "asked"), [(0, "cpu"), (1, "auto")])
def test_a_trial_without_a_gpu_computes_on_the_cpu_though_one_is_there(gpus, asked, start_of, trial, monkeypatch):
    from ray import tune

    monkeypatch.setattr(tune, "report", lambda result: None)
    task = StubTask([0.1])
    train_trial(config(), start_of(task, epochs=1, gpus_per_trial=gpus))
    assert task.device == asked
    assert read_checkpoint(trial / "checkpoint_000000")["config"] == {"training": {"device": "auto"}}  # as it was given


def test_threads_are_as_many_as_the_trial_asks_for(start_of, monkeypatch):
    from ray import tune

    monkeypatch.setattr(tune, "report", lambda result: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray sets it
    train_trial(config(), start_of(StubTask(), epochs=1, cpus_per_trial=3))
    assert torch.get_num_threads() == 3
    assert os.environ["OMP_NUM_THREADS"] == "1"
