"""The run of `make demo` on a tiny corpus: ended by signals, killed, moved, resumed, and the same as ever.

Each signal by itself: test_interrupts.py. Here are two whose handlers Ray replaces: its start that of SIGTERM, Ray Tune
that of SIGUSR1.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from main import main
from preprocessing import audio_logmel, clotho_dataset, sbert_embeddings
from tests import tiny
from tests.training import differences
from utils.model_utils import read_checkpoint, read_history
from utils.model_utils.trials import checkpoint_folders

ROOT = Path(__file__).parents[3]
# one trial after the other: rows are compared in the order in which they arrive
SETTINGS = ["--set", "ray.max_concurrent=1", "--set", "training.epochs=6"]
TEMPORARY = Path(f"/tmp/t{os.getpid()}")
CLOCK = ("train_s", "step_s", "epoch_s", "time", "items_per_s", "waiting_share", "peak_memory_gb")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with conf.yaml as it is, and the data that it names, small."""
    folder = tmp_path_factory.mktemp("demo") / "project"
    tiny.write_corpus(folder / "data" / "synthetic")
    shutil.copy(ROOT / "conf.yaml", folder)
    here = Path.cwd()
    os.chdir(folder)
    try:
        clotho_dataset.main([])
        audio_logmel.main(["--workers", "1"])
        sbert_embeddings.main([])
    finally:
        os.chdir(here)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _temporary():
    """A temporary folder for these searches alone, short enough for sockets."""
    TEMPORARY.mkdir()
    yield
    shutil.rmtree(TEMPORARY)


def environment():
    return os.environ | {"TMPDIR": str(TEMPORARY), "RAY_TMPDIR": str(TEMPORARY)}


def left_by_ray():
    """What a search has left in the temporary folder; torch makes an empty one for its compiler."""
    return [path.name for path in TEMPORARY.iterdir() if not path.name.startswith("torchinductor_")]


def command(folder, *arguments):
    """main.py, by the .venv of a folder where it has one: its path may have blanks."""
    python = folder / ".venv" / "bin" / "python"
    return [str(python) if python.exists() else sys.executable, str(ROOT / "main.py"), *SETTINGS, *arguments]


def interrupt(folder, number, *arguments):
    """Send a signal when the first epoch is printed; (exit code, what was printed)."""
    with subprocess.Popen(
        command(folder, "--resume", *arguments),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        out = []
        for printed in process.stdout:
            out.append(printed)
            if ": epoch " in printed:
                os.kill(process.pid, number) if number != signal.SIGKILL else os.killpg(process.pid, number)
        return process.wait(), "".join(out)


def finish(folder, *arguments):
    """Go on to the end; what was printed."""
    done = subprocess.run(
        command(folder, *arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def learnt(experiment):
    """Everything that was reported, decided and kept, but for the clock."""
    trials = {}
    for trial in sorted(experiment.glob("trial_*")):
        rows = [{key: value for key, value in row.items() if key not in CLOCK} for row in read_history(trial)]
        state = read_checkpoint(checkpoint_folders(trial)[-1])
        del state["config"]
        end = json.loads((trial / "ended.json").read_text())
        totals = json.loads((trial / "totals.json").read_text())
        assert totals.pop("seconds") > 0
        kept = [folder.name for folder in checkpoint_folders(trial)]
        assert (trial / "progress.csv").read_text().count("\n") == len(rows) + 1
        trials[trial.name] = {"rows": rows, "state": state, "end": end, "totals": totals, "kept": kept}
    return trials


@pytest.mark.timeout(900)
def test_interrupted_moved_and_resumed_is_as_never_interrupted(demo, monkeypatch):
    whole, folder = demo.with_name("whole"), demo.with_name("a b")
    shutil.copytree(demo, whole)
    with monkeypatch.context() as context:
        context.chdir(whole)
        assert not main(SETTINGS)
    shutil.copytree(demo, folder)
    (folder / ".venv").symlink_to(sys.prefix)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        code, out = interrupt(folder, number)
        assert code == 130, out
        assert out.splitlines()[-1].startswith("interrupted; go on with: ")
        assert out.splitlines()[-1].endswith("main.py " + " ".join([*SETTINGS, "--resume"]))
        assert "Traceback" not in out
        assert left_by_ray() == []
        assert json.loads((folder / "runs" / "demo" / "experiment.json").read_text())["finished"] is False
        folder = folder.rename(folder.with_name(f"moved {number}"))

    code, _ = interrupt(folder, signal.SIGKILL, "--set", f"output_root={folder / 'runs'}")
    assert code == -signal.SIGKILL
    assert len(left_by_ray()) == 1
    out = finish(folder, "--resume")
    assert left_by_ray() == []
    assert "resumed after epoch " in out
    assert "best trial: runs/demo/trial_0000" in out
    assert differences(learnt(folder / "runs" / "demo"), learnt(whole / "runs" / "demo")) == []
    # paths are kept as they were written
    params = json.loads((folder / "runs" / "demo" / "trial_00000" / "params.json").read_text())
    assert (params["data"]["root"], params["output_root"]) == ("data/synthetic", "runs")
