"""Two processes that make the same in one folder: the second says so; the dead block nobody."""

import errno
import fcntl
import json
import multiprocessing
import os
import signal
import socket

import pytest

from utils.artefact_utils import one_at_a_time
from utils.cli_utils import UserError

FORK = multiprocessing.get_context("fork")


def hold(folder, pipe):
    with one_at_a_time(folder, "log-mels"):
        pipe.send(os.getpid())
        pipe.recv()


class Holder:
    """Another process, which holds the lock until it is told to end."""

    def __init__(self, folder):
        self.pipe, theirs = FORK.Pipe()
        self.process = FORK.Process(target=hold, args=(folder, theirs))
        self.process.start()
        assert self.pipe.poll(60)
        self.pid = self.pipe.recv()

    def end(self):
        self.pipe.send(None)
        self.process.join(60)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.join(60)


@pytest.fixture(params=["locks", "no locks"])
def disk(request, monkeypatch):
    """A disk that grants locks, and one that does not."""
    if request.param == "no locks":

        def refuse(*arguments):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "lockf", refuse)


def test_the_second_is_told_who_is_at_work(tmp_path, disk):
    other = Holder(tmp_path / "new")
    with (
        pytest.raises(
            UserError, match=rf"new: process {other.pid} on {socket.gethostname()} is making the log-mels here"
        ),
        one_at_a_time(tmp_path / "new", "log-mels"),
    ):
        raise AssertionError
    with one_at_a_time(tmp_path / "new", "tables"):  # which is something else
        pass
    other.end()
    with one_at_a_time(tmp_path / "new", "log-mels"):
        assert (tmp_path / "new" / ".log-mels.lock").exists()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_killed_one_blocks_nobody(tmp_path, disk):
    Holder(tmp_path).kill()
    assert (tmp_path / ".log-mels.lock").exists()
    with one_at_a_time(tmp_path, "log-mels"):
        assert json.loads((tmp_path / ".log-mels.lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_frees_it(tmp_path, disk):
    with pytest.raises(KeyError), one_at_a_time(tmp_path, "log-mels"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pid": "x"}', '{"host": "elsewhere", "pid": 1}'])
def test_without_locks_nobody_is_taken_for_dead_who_may_live(tmp_path, monkeypatch, content):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    (tmp_path / ".log-mels.lock").write_text(content)
    with (
        pytest.raises(UserError, match=r"if it has died, remove .*log-mels\.lock"),
        one_at_a_time(tmp_path, "log-mels"),
    ):
        raise AssertionError
    own = {"host": socket.gethostname(), "pid": os.getpid(), "started": "another start, of an earlier process"}
    (tmp_path / ".log-mels.lock").write_text(json.dumps(own))
    with one_at_a_time(tmp_path, "log-mels"):
        pass
