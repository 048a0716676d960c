import contextlib
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from main import main
from tasks import Run, build_task, check_run, parse_run, search_of, training_parts
from tests.training import StubTraining, run_of
from utils.artefact_utils import write_json
from utils.cli_utils import UserError, remember_conf
from utils.config_utils import set_key, to_mapping
from utils.model_utils import find_trial, read_checkpoint, read_facts
from utils.tune_utils import Distribution, RaySpec, launch, print_best
from utils.tune_utils.folder import make_stand_ins, remove_stand_ins
from utils.tune_utils.launch import _restored, _run_config, _tune_config, _watch_for_interrupt

ROOT = Path(__file__).parents[2]


def distribution(**keys):
    return TypeAdapter(Distribution).validate_python(keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "needs one distribution, found 0; choices: grid, choice, uniform, loguniform, randint"),
        ({"grid": [1], "choice": [2]}, "needs one distribution, found 2"),
        ({"uniform": [2, 1]}, "uniform needs low < high"),
        ({"randint": [3, 3]}, "randint needs low < high"),
        ({"loguniform": [0, 1]}, "loguniform needs low > 0"),
        ({"uniform": [1, 2, 3]}, "at most 2 items"),
        ({"quniform": [1, 2]}, "Field required"),
        ({"quniform": [0, 1, 0]}, r"quniform needs \[low, high, step\], with low and high multiples of step > 0"),
        ({"quniform": [0, 1, 0.3]}, r"quniform needs \[low, high, step\]"),
        ({"qrandint": [1, 9, 4]}, r"qrandint needs \[low, high, step\]"),
        ({"qloguniform": [0.1, 1, -0.1]}, r"qloguniform needs \[low, high, step\]"),
        ({"grid": []}, "at least 1 item"),
        ({"normal": [0, 1]}, "Extra inputs"),
    ],
)
def test_bad_distributions_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        distribution(**keys)


@pytest.mark.parametrize(
    ("keys", "extremes"),
    [
        ({"grid": [3, "x", None]}, [3, "x", None]),
        ({"choice": [[1], {"a": 1}]}, [[1], {"a": 1}]),
        ({"randint": [2, 9]}, [2, 8]),
        ({"qrandint": [2, 8, 2]}, [2, 8, 4]),
        ({"qrandint": [2, 8, 1]}, [2, 7]),
        ({"quniform": [0.5, 1.5, 0.25]}, [0.5, 1.5, 0.75]),
    ],
)
def test_extremes(keys, extremes):
    assert distribution(**keys).extremes() == extremes


@pytest.mark.parametrize("name", ["uniform", "loguniform"])
def test_extremes_of_a_range_hold_a_number_with_a_fraction(name):
    low, high, between = distribution(**{name: [1, 9]}).extremes()
    assert (low, high) == (1, 9)
    assert low < between < high
    assert between != round(between)


DRAWS = {
    "uniform": ([1, 3], lambda v: 1 <= v <= 3),
    "loguniform": ([1e-5, 1e-2], lambda v: 1e-5 <= v <= 1e-2),
    "randint": ([2, 5], lambda v: v in (2, 3, 4)),
    "quniform": ([0, 1, 0.25], lambda v: v in (0, 0.25, 0.5, 0.75, 1)),
    "qrandint": ([2, 8, 2], lambda v: v in (2, 4, 6, 8)),
    "qloguniform": ([0.1, 0.8, 0.1], lambda v: 0.1 <= v <= 0.8 and abs(v * 10 - round(v * 10)) < 1e-9),
    "choice": (["a", None], lambda v: v in ("a", None)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_what_ray_draws_lies_in_the_range(name):
    from utils.tune_utils.launch import _ray_domain

    values, inside = DRAWS[name]
    domain = _ray_domain(distribution(**{name: values}))
    drawn = [domain.sample() for _ in range(50)]
    assert all(inside(value) for value in drawn)
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("keys", [{"num_samples": 0}, {"scheduler": "pbt"}, {"keep_checkpoints": 0}, {"cpus": 1}])
def test_ray_settings_out_of_range_are_refused(keys):
    with pytest.raises(ValidationError):
        TypeAdapter(RaySpec).validate_python(keys)


def test_ray_is_told_what_the_yaml_says(prepared):
    run = run_of(
        prepared,
        "training={epochs: 9, select_on: val_loss, seed: 3}",
        "ray={num_samples: 5, grace_epochs: 20, reduction_factor: 4, max_concurrent: 2, keep_checkpoints: 3, "
        "stopper: {watch: R@1, std: 0.5, num_results: 7, grace_epochs: 8}}",
    )
    tuned, told = _tune_config(search_of(run, run.build())), _run_config(search_of(run, run.build()))
    assert (tuned.metric, tuned.mode, tuned.num_samples) == ("val_loss", "min", 5)
    # a grace longer than the run is the run; epochs are those of the trial, which may repeat one after a resume
    assert (tuned.scheduler._time_attr, tuned.scheduler._max_t) == ("epoch", 9)
    assert tuned.search_alg.max_concurrent == 2
    kept = told.checkpoint_config
    assert (kept.num_to_keep, kept.checkpoint_score_attribute, kept.checkpoint_score_order) == (3, "val_loss", "min")
    stop = told.stop
    assert (stop._metric, stop._std, stop._num_results, stop._grace_period) == ("R@1", 0.5, 7, 8)
    lower = search_of(run, run.build())._replace(training=StubTraining(select_on="error"))  # as its task says
    assert (_tune_config(lower).mode, _run_config(lower).checkpoint_config.checkpoint_score_order) == ("min", "min")
    assert Path(told.storage_path) / told.name == run.folder
    plain = run_of(prepared, "ray={scheduler: fifo}")
    assert type(_tune_config(search_of(plain, plain.build())).scheduler).__name__ == "FIFOScheduler"
    assert _run_config(search_of(plain, plain.build())).stop is None


class StartedError(Exception):
    """Ray would have been started."""


@pytest.fixture
def started(monkeypatch):
    """What ray.init is called with; nothing starts."""
    import ray

    seen = {}

    def init(**keys):
        seen.update(keys)
        raise StartedError

    monkeypatch.setattr(ray, "init", init)
    remember_conf([])
    return seen


def start(run: Run, *, resume=False, fresh=False):
    return launch(search_of(run, run.build()), build_task, training_parts, resume=resume, fresh=fresh)


@pytest.mark.parametrize(("address", "passed"), [("null", "local"), ("auto", "auto"), ("10.0.0.1:6379",) * 2])
def test_a_running_cluster_is_left_alone_unless_it_is_named(address, passed, started, prepared, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: socket.socket())
    with pytest.raises(StartedError):
        start(run_of(prepared, f"ray.address={address}"))
    assert started["address"] == passed
    assert started["include_dashboard"] is (False if passed == "local" else None)


def record(run, *, finished=False, **changes):
    held = {"run": to_mapping(run) | changes, "data": search_of(run, run.build()).data, "finished": finished}
    write_json(run.folder / "experiment.json", held)


def test_a_fresh_folder_is_recorded_and_started(started, prepared):
    run = run_of(prepared)
    with pytest.raises(StartedError):
        start(run)
    held = json.loads((run.folder / "experiment.json").read_text())
    assert (parse_run(held["run"], "experiment.json"), held["finished"]) == (run, False)


def test_nothing_to_resume_is_said_and_started(started, prepared, capsys):
    with pytest.raises(StartedError):
        start(run_of(prepared), resume=True)
    assert "runs/tiny: nothing to resume; starting" in capsys.readouterr().out


def test_an_unfinished_experiment_asks_what_to_do(started, prepared):
    run = run_of(prepared)
    record(run)
    with pytest.raises(UserError, match=r"tiny: holds an unfinished experiment; go on with --resume, or start .*--fre"):
        start(run)
    (run.folder / ".checkpoint-abc").mkdir()  # what a killed trial left
    with pytest.raises(StartedError):
        start(run, resume=True)
    assert sorted(p.name for p in run.folder.iterdir()) == ["experiment.json"]


@pytest.mark.parametrize("resume", [False, True])
def test_other_settings_are_named(resume, started, prepared):
    run = run_of(prepared)
    record(run, training=to_mapping(run.training) | {"epochs": 9})
    with pytest.raises(UserError, match=r"experiment with other settings \(training\.epochs: 9 -> 2\); use --set exp"):
        start(run, resume=resume)


@pytest.mark.parametrize("finished", [True, False])
def test_an_experiment_on_other_data_is_not_reused(finished, started, prepared):
    run = run_of(prepared)
    record(run, finished=finished)
    table = prepared / "features" / "development_text.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match="holds an experiment on other data: clips, captions or their vectors have"):
        start(run, resume=True)


def test_a_finished_experiment_is_reused(started, prepared, capsys):
    run = run_of(prepared)
    record(run, finished=True)
    assert start(run)
    assert start(run, resume=True)
    assert "every trial has ended with these settings; reused (--fresh starts again)" in capsys.readouterr().out
    assert started == {}


def test_fresh_moves_the_earlier_experiment_aside(started, prepared, capsys):
    run = run_of(prepared)
    for number in (1, 2):
        record(run, finished=True, note=number)
        with pytest.raises(StartedError):
            start(run, fresh=True)
        aside = run.folder.with_name(f"tiny.old-{number}")
        assert json.loads((aside / "experiment.json").read_text())["run"]["note"] == number
        assert f"moved {run.folder} to {aside}" in capsys.readouterr().out


def test_strange_files_are_not_touched(started, prepared):
    run = run_of(prepared)
    run.folder.mkdir(parents=True)
    (run.folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"tiny: holds no experiment of this program; move it, or use --set experiment"):
        start(run, resume=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"run": 3, "finished": true}'])
def test_a_broken_record_is_told(text, started, prepared):
    run = run_of(prepared)
    run.folder.mkdir(parents=True)
    (run.folder / "experiment.json").write_text(text)
    with pytest.raises(UserError, match=r"experiment\.json: not the record of an experiment; move .* --fresh"):
        start(run, resume=True)


@pytest.mark.parametrize("sent", [True, False])
def test_an_interrupt_is_noticed_though_another_handler_takes_it(sent):
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with _watch_for_interrupt() as interrupted:
            os.kill(os.getpid(), signal.SIGINT if sent else 0)
        assert interrupted() is sent
    finally:
        signal.signal(signal.SIGINT, previous)


# --- Ray itself, started once for all tests below ---------------------------------------------------------------

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
    remember_conf([])
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


# --- main.py -----------------------------------------------------------------------------------------------------


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


def outcome(capsys, *arguments):
    """(exit code, stdout, stderr) of main.py in this process."""
    code = 0
    try:
        main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
    return code, *capsys.readouterr()


def test_check_prints_sizes_and_starts_nothing(started, prepared, capsys):
    code, out, err = outcome(capsys, "--conf", str(prepared / "conf.yaml"), "--check")
    assert (code, err) == (0, "")
    assert "retrieval: 0.01 M parameters" in out
    assert "evaluation" in out
    assert started == {}
    assert not (prepared / "runs").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.out_dims=3", "model.out_dims: unknown key; did you mean 'out_dim'?"),
        ("data.features=nowhere", "nowhere/development_text.csv: no such file"),
        ("search={optimizer.rate: {grid: [1]}}", "search.optimizer.rate = 1: 1 bad key"),
        ("data.splits.val=dev", "dev_text.csv: no such file"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_run_that_cannot_work_is_refused_before_ray_starts(check, setting, message, started, prepared, capsys):
    flags = ["--check"] if check else []
    code, out, err = outcome(capsys, "--conf", str(prepared / "conf.yaml"), "--set", setting, *flags)
    assert code == 2
    assert message in err
    assert "Traceback" not in out + err
    assert sum(line.startswith("error: ") for line in err.splitlines()) == 1
    assert started == {}


def test_heavy_libraries_wait_until_they_are_needed(prepared):
    """So that --help and a bad key answer at once."""
    code = (
        "import sys, main\n"
        "try:\n"
        f"    main.main(['--conf', {str(prepared / 'conf.yaml')!r}, '--set', 'model.out_dims=3'])\n"
        "except SystemExit as exit:\n"
        "    heavy = ['ray', 'transformers', 'sentence_transformers', 'librosa']\n"
        "    print(exit.code, [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2 []"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ray.cpus_per_trial=100000", "ray.cpus_per_trial: 100000, but there are "),
        ("ray.gpus_per_trial=1000", "ray.gpus_per_trial: 1000, but there are "),
        ("training.device=cuda", "training.device: cuda, but "),
        ("training.precision=fp16", "training.precision: fp16 needs a GPU"),
    ],
)
def test_what_this_machine_does_not_have_is_refused_before_ray_starts(setting, message, started, prepared, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(UserError, match=re.escape(message)):
        check_run(run_of(prepared, "training.device=auto", setting), thorough=False)
    assert started == {}


def test_a_cluster_that_does_not_answer_is_told_at_once(prepared):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"ray\.address: no Ray cluster can be reached at {address}: "):
            start(run_of(prepared, f"ray.address={address}"))


def test_a_broken_record_of_ray_asks_for_fresh(prepared):
    run = run_of(prepared)
    record(run)
    (run.folder / "tuner.pkl").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match=r"tiny: Ray's record of the experiment cannot be read .*main\.py --fresh"):
        _restored(run.folder, lambda config: None, {})


def test_stand_ins_fill_the_gaps_and_go_again(tmp_path):
    trial = tmp_path / "trial_00000"
    for number in (2, 4):
        (trial / f"checkpoint_{number:06d}").mkdir(parents=True)
    (trial / "checkpoint_000004" / "checkpoint.pt").write_text("a state")
    make_stand_ins(tmp_path)
    assert sorted(p.name[-1] for p in trial.iterdir()) == ["0", "1", "2", "3", "4"]
    remove_stand_ins(tmp_path)
    assert [p.name for p in trial.iterdir()] == ["checkpoint_000004"]
