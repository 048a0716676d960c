"""Nothing of Ray outlives a search, and what a killed search left is removed by the next one."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from utils.tune_utils.scratch import remove_abandoned, scratch_folder

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from utils.tune_utils.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "session" / "sockets").mkdir(parents=True)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent(monkeypatch):
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # short enough for sockets
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_a_process_of_ray_that_hangs_in_its_exit_ends_with_the_folder(parent):
    with scratch_folder() as folder:
        hanging = subprocess.Popen(["sleep", "600"], env=os.environ | {"TMPDIR": str(folder)})
        other = subprocess.Popen(["sleep", "600"], env=os.environ | {"TMPDIR": f"{folder}x"})
    assert hanging.wait(timeout=30) == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_folder_goes_however_the_search_ends(error, parent):
    def search():
        with scratch_folder() as folder:
            assert (folder.parent, folder.stat().st_mode & 0o777) == (parent, 0o700)
            (folder / "logs").mkdir()
            if error is not None:
                raise error

    if error is None:
        search()
    else:
        with pytest.raises(error):
            search()
    assert list(parent.iterdir()) == []


def test_what_a_killed_search_left_goes_and_that_of_a_running_one_stays(parent):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    held = [subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, text=True, **pipes) for _ in range(2)]
    running, killed = (Path(process.stdout.readline().strip()) for process in held)
    os.kill(held[1].pid, signal.SIGKILL)
    held[1].wait()
    assert (running.is_dir(), killed.is_dir()) == (True, True)
    with scratch_folder() as folder:
        assert {path.name for path in parent.iterdir()} == {folder.name, running.name}
    held[0].communicate("")
    assert list(parent.iterdir()) == []


def test_folders_of_others_are_left_alone(parent, monkeypatch):
    for name in ("ray", "ray-other", "rays", "ray-foreign", "tune-x"):
        (parent / name).mkdir()
        (parent / name / "file").write_text("kept")
    (parent / "ray-foreign" / "search.lock").write_text("")
    (parent / "ray-link").symlink_to(parent / "ray")
    (parent / "ray" / "search.lock").write_text("")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    remove_abandoned(parent)
    assert len(list(parent.glob("*/file"))) == 6  # the one behind the link twice
    monkeypatch.undo()
    remove_abandoned(parent)
    assert sorted(path.name for path in parent.iterdir()) == ["ray", "ray-link", "ray-other", "rays", "tune-x"]


def test_a_lock_that_is_held_protects_the_folder(parent):
    (parent / "ray-held").mkdir()
    with (parent / "ray-held" / "search.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_abandoned(parent)
        assert (parent / "ray-held").is_dir()
    remove_abandoned(parent)
    assert not (parent / "ray-held").exists()
