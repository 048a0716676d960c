"""main.py is killed while a trial of two ranks runs: nothing of it stays, and one process goes on where two were."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import tiny
from utils.model_utils import read_checkpoint, read_history
from utils.model_utils.trials import checkpoint_folders, read_end

ROOT = Path(__file__).parents[3]


def command(folder, *settings):
    arguments = [part for setting in settings for part in ("--set", setting)]
    return [sys.executable, str(ROOT / "main.py"), "--conf", str(folder / "conf.yaml"), *arguments]


def started_with(mark):
    """The commands of the processes that have `mark` in their environment: all of a search, and Ray's own."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().decode().replace("\0", " "))
        except OSError:  # it has ended meanwhile, or is of another user
            continue
    return found


@pytest.fixture
def temporary():
    """A temporary folder for these searches alone, short enough for sockets."""
    folder = Path(f"/tmp/k{os.getpid()}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(900)
def test_nothing_stays_behind_and_another_number_of_ranks_goes_on(request, tmp_path, temporary):
    made, folder = request.getfixturevalue("_made"), tmp_path / "a b"
    folder.mkdir()
    tiny.write_conf(folder, tiny.conf(made) | {"output_root": str(folder / "runs")})
    # Ray's own agents look a minute for what has started them; here, five seconds
    environment = os.environ | {"RAY_TMPDIR": str(temporary), "RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
    epochs = "training.epochs=50"  # more than there are until the kill
    two = command(folder, epochs, "ray.workers_per_trial=2")
    with subprocess.Popen(two, env=environment, stdout=subprocess.PIPE, text=True) as process:
        reached = next(line for line in process.stdout if ": epoch 2/50, " in line)
        ranks = [one for one in started_with(str(temporary)) if "RayTrainWorker" in one]
        process.kill()
    assert len(ranks) == 2, reached
    until = time.monotonic() + 300
    while (left := started_with(str(temporary))) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []

    trial = folder / "runs" / "tiny" / "trial_00000"
    before = checkpoint_folders(trial)[-1]
    epoch = read_checkpoint(before)["epoch"]
    assert 2 <= epoch < 50
    one = [*command(folder, epochs, "ray.workers_per_trial=1"), "--resume"]
    done = subprocess.run(one, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f"resumed after epoch {epoch}" in done.stdout
    assert "ray.workers_per_trial: 2 -> 1" in done.stdout
    assert [row["epoch"] for row in read_history(trial)] == list(range(1, 51))
    assert read_end(trial).reason == "finished"
    assert not list(folder.glob("runs/tiny/.checkpoint-*"))
