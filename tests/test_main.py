"""main.py: what it refuses before anything starts, and what it holds while trials run."""

import gc
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import main as script
from main import main
from tasks import check_run
from tasks.retrieval.dual_encoder import DualEncoderTask
from tests.training import run_of
from utils.cli_utils import UserError

ROOT = Path(__file__).parents[1]


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
        (
            ("search={model: {grid: [{name: A}]}}", "model.out_dim=3"),
            "--set model.out_dim: has no effect, since each trial draws model from search.model; leave it out",
        ),
        (
            ("search={optimizer.lr: {grid: [1e-3]}}", "optimizer.lr=1"),
            "--set optimizer.lr: has no effect, since each trial draws optimizer.lr from search.optimizer.lr; leave",
        ),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_run_that_cannot_work_is_refused_before_ray_starts(check, setting, message, started, prepared, capsys):
    flags = ["--check"] if check else []
    settings = [setting] if isinstance(setting, str) else setting
    arguments = [word for one in settings for word in ("--set", one)]
    code, out, err = outcome(capsys, "--conf", str(prepared / "conf.yaml"), *arguments, *flags)
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


def test_the_search_holds_no_task_while_trials_run(prepared, monkeypatch):
    """Trials build their own; the model and the tables of the first one would stay in memory for nothing."""
    alive = []
    build = DualEncoderTask.__init__

    def noted(self, *args, **keys):
        build(self, *args, **keys)
        alive.append(weakref.ref(self))
        alive.append(weakref.ref(self.model()))

    def launched(search, *_, **__):
        gc.collect()
        assert alive
        assert [ref for ref in alive if ref() is not None] == []
        return False

    monkeypatch.setattr(DualEncoderTask, "__init__", noted)
    monkeypatch.setattr(script, "launch", launched)
    with pytest.raises(SystemExit, match="130"):
        main(["--conf", str(prepared / "conf.yaml")])


@pytest.mark.parametrize(("gpus", "said"), [(0, True), (1, False)])
def test_a_gpu_that_trials_do_not_use_is_mentioned(gpus, said, prepared, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    check_run(run_of(prepared, "training.device=auto", f"ray.gpus_per_trial={gpus}"), thorough=False)
    line = "ray.gpus_per_trial is 0: trials compute on the CPU; for the GPU here: --set ray.gpus_per_trial=auto"
    assert (line in capsys.readouterr().out) is said


def test_half_precision_needs_a_gpu_for_the_trial_and_not_for_the_machine_alone(prepared, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match=re.escape("training.precision: fp16 needs a GPU")):
        check_run(
            run_of(prepared, "training.device=auto", "training.precision=fp16", "ray.gpus_per_trial=0"), thorough=False
        )
