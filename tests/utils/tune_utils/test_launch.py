import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tasks import Run, build_task, parse_run, search_of, training_parts
from tests.training import run_of
from utils.config_utils import set_key, to_mapping
from utils.model_utils import find_trial, read_checkpoint, read_facts
from utils.tune_utils import launch, print_best

ROOT = Path(__file__).parents[3]


def start(run: Run, *, resume=False, fresh=False):
    return launch(search_of(run, run.build()), build_task, training_parts, resume=resume, fresh=fresh)


RATES = [1e-5, 0.01]


def build_and_note_threads(mapping):
    task = build_task(mapping)
    folder = Path(mapping["output_root"])
    (folder / f"threads-{mapping['optimizer']['lr']}").write_text(str(torch.get_num_threads()))
    return task


class Launched(NamedTuple):
    run: Run
    out: str

    def trial(self, number: int) -> Path:
        return self.run.folder / f"trial_{number:05d}"


@pytest.fixture(scope="module")
def launched(request, tmp_path_factory):
    """Two trials of four epochs, two processors each."""
    made = request.getfixturevalue("_made")
    root = tmp_path_factory.mktemp("launched")
    run = run_of(
        made,
        f"output_root={root}",
        "search={optimizer.lr: {grid: [0.00001, 0.01]}}",
        "ray={cpus_per_trial: 2, keep_checkpoints: 1, scheduler: fifo}",
        "training.epochs=4",
    )
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        search = search_of(run, run.build())
        assert launch(search, build_and_note_threads, training_parts, resume=False, fresh=False)
        print_best(run.folder)
    return Launched(run, out.getvalue())


def test_a_grid_gives_all_values_and_params_parse_back(launched):
    for number, rate in enumerate(RATES):
        params = json.loads((launched.trial(number) / "params.json").read_text())
        expected = to_mapping(launched.run) | {"search": {}}
        set_key(expected, "optimizer.lr", rate)
        assert parse_run(params, "params.json") == parse_run(expected, "expected")
    assert not launched.trial(2).exists()


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
    assert threads == ["2", "2"]


def test_what_is_printed(launched):
    best = find_trial(launched.run.folder)
    lines = launched.out.splitlines()
    assert "trial_00000: starts, optimizer.lr 1e-05" in lines
    assert "trial_00001: starts, optimizer.lr 0.01" in lines
    assert sum(line.startswith("trial_00000: epoch ") for line in lines) == 4
    value = best.checkpoint.metrics["mAP@10"]
    assert lines[-2] == f"best trial: {best.folder}, epoch {best.checkpoint.epoch}, mAP@10 {value:.4f} (validation)"
    assert lines[-1].startswith("next: ")
    assert lines[-1].endswith(" -m postprocessing.xmodal_scores")


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
    assert line.endswith(f" main.py --conf {prepared / 'conf.yaml'} --resume")
    report = prepared / "runs" / "tiny" / "trial_00000" / "error.txt"
    assert str(report) in line
    assert "captioned_clips.py" in report.read_text()  # where it happened
