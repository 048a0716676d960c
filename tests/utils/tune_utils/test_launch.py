import contextlib
import csv
import errno
import io
import itertools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tasks import RunSpec, experiment_of, fit_of, parse_run
from tests.training import run_of
from tests.utils.tune_utils.searches import search_for
from utils.artefact_utils import write_json
from utils.cli_utils import UserError
from utils.config_utils import set_key, to_mapping
from utils.model_utils import find_trial, read_checkpoint, read_facts, read_history
from utils.model_utils.trials import TrialEnd, read_end, write_end
from utils.tune_utils import launch, print_best
from utils.tune_utils.folder import write_record
from utils.tune_utils.results import Results

ROOT = Path(__file__).parents[3]


def start(run: RunSpec, *, resume=False, fresh=False):
    return launch(experiment_of(run, run.build()), fit_of, resume=resume, fresh=fresh)


RATES = [1e-5, 0.01]
DIVERGES = 0.02


def fit_that_notes_threads(mapping):
    fit = fit_of(mapping)
    if mapping["optimizer"]["lr"] == DIVERGES:
        diverge_in_the_second_epoch(fit._task)
    folder = Path(mapping["output_root"])
    if mapping["optimizer"]["lr"] == RATES[1]:
        lose_the_process_once(fit._task, folder / "killed")
    (folder / f"threads-{mapping['optimizer']['lr']}").write_text(str(torch.get_num_threads()))
    return fit


def lose_the_process_once(task, killed):
    metrics, epochs = task.metrics, itertools.count(1)

    def killed_in_the_second_epoch(outputs):
        if next(epochs) == 2 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return metrics(outputs)

    task.metrics = killed_in_the_second_epoch


def diverge_in_the_second_epoch(task):
    losses, steps = task.losses, itertools.count(1)

    def nan_later(batch):
        found, step = losses(batch), next(steps)
        return found if step <= 4 else {key: loss * float("nan") for key, loss in found.items()}

    task.losses = nan_later


class Launched(NamedTuple):
    run: RunSpec
    out: str
    made: Path
    settings: list[str]

    def trial(self, number: int) -> Path:
        return self.run.folder / f"trial_{number:05d}"


@pytest.fixture(scope="module")
def launched(request, tmp_path_factory):
    """Two trials of four epochs, two processors each, one of which is killed once; one diverges in the second epoch."""
    made = request.getfixturevalue("_made")
    root = tmp_path_factory.mktemp("launched")
    settings = [
        "search={optimizer.lr: {grid: [0.00001, 0.01, 0.02]}}",
        "ray={cpus_per_trial: 2, keep_checkpoints: 1, scheduler: fifo}",
        "training.epochs=4",
    ]
    run = run_of(made, *settings, f"output_root={root}")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        search = experiment_of(run, run.build())
        assert launch(search, fit_that_notes_threads, resume=False, fresh=False)
        print_best(run.folder)
    return Launched(run, out.getvalue(), made, settings)


def test_a_grid_gives_all_values_and_params_parse_back(launched):
    for number, rate in enumerate(RATES):
        params = json.loads((launched.trial(number) / "params.json").read_text())
        expected = to_mapping(launched.run) | {"search": {}}
        set_key(expected, "optimizer.lr", rate)
        assert parse_run(params, "params.json") == parse_run(expected, "expected")
    assert not launched.trial(3).exists()


def test_every_epoch_has_a_row_and_there_are_events(launched):
    for number in range(2):
        with (launched.trial(number) / "progress.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [float(row["epoch"]) for row in rows] == [1, 2, 3, 4]
        assert {"train_loss", "val_loss", "mAP@10", "R@1", "a2t_hit@5", "lr"} <= set(rows[0])
        events = list(launched.trial(number).glob("events.out.tfevents.*"))
        assert len(events) == 1
        assert events[0].stat().st_size > 1000


def test_the_best_checkpoint_and_the_last_are_kept(launched):
    for number in range(2):
        with (launched.trial(number) / "progress.csv").open(newline="") as stream:
            values = [float(row["mAP@10"]) for row in csv.DictReader(stream)]
        kept = {p.name for p in launched.trial(number).glob("checkpoint_*")}
        assert "checkpoint_000003" in kept
        assert len(kept) <= 2
        assert max(values) in [values[int(name[-1])] for name in kept]
        for name in kept:
            facts = read_facts(launched.trial(number) / name)
            assert (facts.epoch, facts.metrics["mAP@10"]) == (int(name[-1]) + 1, values[int(name[-1])])
            config = read_checkpoint(facts.folder)["config"]
            assert config["optimizer"]["lr"] == RATES[number]


def test_a_trial_computes_with_its_processors(launched):
    threads = [p.read_text() for p in sorted(launched.run.output_root.glob("threads-*"))]
    assert threads == ["2", "2", "2"]


def test_what_is_printed(launched):
    best = find_trial(launched.run.folder)
    lines = launched.out.splitlines()
    assert "trial_00000: starts, optimizer.lr 1e-05" in lines
    assert "trial_00001: starts, optimizer.lr 0.01" in lines
    for name in ("trial_00000", "trial_00001"):
        assert sum(line.startswith(f"{name}: epoch ") for line in lines) == 4
    (lost,) = [line for line in lines if ": lost (" in line]
    assert lost.startswith("trial_00001: lost (")
    assert lost.endswith("); goes on from its last checkpoint")
    value = best.checkpoint.metrics["mAP@10"]
    assert lines[-2].startswith('trial_00002: diverged with {"optimizer.lr": 0.02}, left out: epoch 2')
    assert lines[-1] == f"best trial: {best.folder}, epoch {best.checkpoint.epoch}, mAP@10 {value:.4f} (validation)"


def test_how_every_trial_has_ended(launched):
    ends = [read_end(launched.trial(number)) for number in range(3)]
    assert [(end.reason, end.epoch) for end in ends] == [("finished", 4), ("finished", 4), ("diverged", 1)]
    assert launched.out.count("trial_00002: epoch ") == 1


def test_nothing_of_ray_is_left_in_the_folder(launched):
    """Its files hold pickles: a folder that is handed on should not need them."""
    found = {p.name for p in launched.run.folder.rglob("*") if p.is_file()}
    tensorboard = {name for name in found if name.startswith("events.out.tfevents.")}
    assert found - tensorboard == {
        "experiment.json",
        "trials.json",
        "trials.csv",
        "trained_on.json",
        "params.json",
        "result.json",
        "progress.csv",
        "ended.json",
        "totals.json",
        "checkpoint.pt",
        "checkpoint.json",
    }


class Poison:
    """A pickle that leaves a trace where it is loaded."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_an_experiment_of_an_earlier_version_goes_on_and_its_pickles_are_never_loaded(launched, tmp_path, capsys):
    """The folder as Ray's own record left it: no trials.json, no ended.json, rows with times and settings."""
    folder, trace = tmp_path / "runs" / launched.run.experiment, tmp_path / "trace"
    shutil.copytree(launched.run.folder, folder)
    (folder / "trials.json").unlink()
    (folder / "trial_00002" / "ended.json").rename(tmp_path / "ended.json")
    held = json.loads((folder / "experiment.json").read_text())
    write_json(folder / "experiment.json", held | {"finished": False})
    for name in ("tuner.pkl", "experiment_state-2026-01-01.json", "trial_00000/params.pkl", "trial_00001/error.pkl"):
        (folder / name).write_bytes(pickle.dumps(Poison(trace)))
    for number in range(2):
        trial = folder / f"trial_{number:05d}"
        (trial / "ended.json").unlink()
        rows = [row | {"timestamp": 100 + number, "config": {"a": 1}} for row in read_history(trial)]
        rows = [{key: value for key, value in row.items() if key not in ("arrival", "time")} for row in rows]
        rows = rows[: 4 - number]  # of the second trial the last row had not arrived
        (trial / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.rmtree(folder / "trial_00002")
    (folder / "trial_00002").mkdir()
    (tmp_path / "ended.json").rename(folder / "trial_00002" / "ended.json")

    run = run_of(launched.made, *launched.settings, f"output_root={tmp_path / 'runs'}", "ray.max_concurrent=1")
    assert start(run, resume=True)  # nothing is left to train: Ray is not even started
    out = capsys.readouterr().out
    assert f"output_root: {launched.run.output_root} -> {tmp_path / 'runs'}" in out
    assert "ray.max_concurrent: None -> 1" in out
    assert not trace.exists()
    for number in range(2):
        assert read_end(folder / f"trial_{number:05d}").reason == "finished"
        values = [[row["epoch"], row["val_loss"]] for row in read_history(folder / f"trial_{number:05d}")]
        assert values == [[row["epoch"], row["val_loss"]] for row in read_history(launched.trial(number))]
        assert json.loads((folder / f"trial_{number:05d}" / "params.json").read_text())["output_root"] == str(
            tmp_path / "runs"
        )


def test_a_search_whose_trials_all_diverge_ends_in_one_line(tmp_path, capsys):
    search = search_for(tmp_path / "runs" / "x", {"optimizer.lr": {"grid": [1, 2]}})
    write_record(search, finished=False)
    for number in range(2):
        write_end(search.folder / f"trial_{number:05d}", TrialEnd("diverged", 0, "epoch 1: the loss is nan"))
    for resume in (True, False):  # also where it is reused
        with pytest.raises(UserError, match=r"runs/x: every trial has diverged; change the settings .* --fresh"):
            launch(search, fit_of, resume=resume, fresh=False)
        assert 'trial_00001: diverged with {"optimizer.lr": 2}, left out: epoch 1' in capsys.readouterr().out


def test_the_experiment_is_finished_and_nothing_is_left_over(launched, capsys):
    assert json.loads((launched.run.folder / "experiment.json").read_text())["finished"] is True
    assert list(launched.run.folder.glob(".checkpoint-*")) == []
    assert start(launched.run)
    assert "reused" in capsys.readouterr().out


def test_a_failing_trial_ends_in_one_line(prepared):
    import h5py

    with h5py.File(prepared / "features" / "development_audio_logmels.hdf5", "r+") as file:
        fid = sorted(file)[0]
        file[fid][len(file[fid]) // 2, 0] = float("nan")  # in any window of training
    command = [sys.executable, "main.py", "--conf", str(prepared / "conf.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: 1 of 1 trials failed: ")
    assert f"the features of clip {fid} (development " in line
    assert "hold NaN or infinite values" in line
    assert "repair the cause, then: " in line
    assert f" main.py --conf {prepared / 'conf.yaml'} --resume; with other settings: " in line
    assert line.endswith(f" main.py --conf {prepared / 'conf.yaml'} --fresh")
    report = prepared / "runs" / "tiny" / "trial_00000" / "error.txt"
    assert str(report) in line
    assert "captioned_clips.py" in report.read_text()  # where it happened


def test_a_disk_that_is_full_when_rows_are_written_ends_in_one_line(prepared, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Results, "add", full)
    monkeypatch.chdir(prepared)
    run = run_of(prepared, "ray.scheduler=fifo")
    with pytest.raises(UserError) as caught:
        start(run)
    assert str(caught.value).startswith(f"{run.folder}: the disk is full; free some space, then: ")
    assert str(caught.value).endswith("<make training --resume>")


def test_ray_is_imported_with_the_settings_that_it_reads_only_then(request, tmp_path):
    """A Ray that was imported before them prints `[repeated 2x across cluster]`, in colour, in place of lines."""
    code = """
import sys
import main

def stop(*_):
    from ray._private import ray_constants
    print("deduplicates:", ray_constants.RAY_DEDUP_LOGS)
    raise SystemExit

sys.modules["utils.tune_utils.launch"].running_ray = stop
main.main(sys.argv[1:])
"""
    arguments = ["--conf", str(request.getfixturevalue("_made") / "conf.yaml")]
    arguments += ["--set", f"output_root={tmp_path}"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert "deduplicates: False" in done.stdout, done.stdout + done.stderr
