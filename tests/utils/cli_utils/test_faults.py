"""An exception that nobody expected: one line, exit code 70, and a log that holds everything."""

import errno
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from utils.cli_utils import ArtefactError, command
from utils.process_utils import ordered_map, worker_pool

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _logs_here(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def outcome(capsys, action):
    """Exit code, what is on standard error, and the log."""

    @command
    def main(argv=None):
        return action()

    with pytest.raises(SystemExit) as stop:
        main([])
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    named = re.search(r"the traceback is in (\S+\.log)", printed)
    return stop.value, printed, Path(named[1]).read_text() if named else ""


def divide():
    return 1 / 0


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        (ValueError("wrong\nin two lines"), "ValueError: wrong"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), "FileNotFoundError: [Errno 2] No such file: 'x'"),
        (OSError("h5py says"), "OSError: h5py says"),
        (KeyError("k\x1b[31m"), "KeyError: 'k\\x1b[31m'"),
        (AssertionError(), "AssertionError"),
        (ValueError("x" * 1_000_000), "ValueError: " + "x" * 200 + "... (1000000 characters)"),
    ],
)
def test_a_fault_is_one_line_and_a_log(capsys, bug, kind):
    def action():
        raise bug

    stop, printed, log = outcome(capsys, action)
    assert stop.code == 70
    assert printed.startswith(f"error: this is a fault of the program: {kind}; the traceback is in /")
    assert printed.endswith(".log; please report it with that\n")
    assert printed.count("\n") == 1
    assert f"python: {sys.version}" in log
    assert "raise bug\n" in log
    assert type(bug).__name__ in log.splitlines()[-1 - str(bug).count("\n")]


def test_a_test_that_expects_none_sees_the_cause(capsys):
    stop, _, log = outcome(capsys, divide)
    assert isinstance(stop.__cause__, ZeroDivisionError)
    assert "in divide\n    return 1 / 0" in log


def test_no_log_replaces_another_and_none_is_lost(capsys, tmp_path, monkeypatch):
    for _ in range(2):
        outcome(capsys, divide)
    assert len(list(tmp_path.glob("fault-*.log"))) == 2

    @command
    def main(argv=None):
        divide()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(SystemExit):
        main([])
    printed = capsys.readouterr().err
    assert "in divide\n    return 1 / 0" in printed
    last = "error: this is a fault of the program: ZeroDivisionError: division by zero; the traceback is above;"
    assert printed.splitlines()[-1].startswith(last)


def endless(n=0):
    return endless(n + 1)


def test_endless_recursion_is_a_fault(capsys):
    stop, printed, log = outcome(capsys, endless)
    assert stop.code == 70
    assert "RecursionError: maximum recursion depth exceeded" in printed
    assert len(log) < 10_000


@pytest.mark.parametrize(
    ("action", "found"),
    [
        (lambda: np.empty((10**7, 10**7)), "Unable to allocate 728. TiB for an array with shape (10000000, 10000000)"),
        (lambda: torch.empty(10**15), "DefaultCPUAllocator: "),
        (lambda: bytearray(2**62), "MemoryError"),
    ],
)
def test_memory_that_is_not_there(capsys, action, found):
    stop, printed, log = outcome(capsys, action)
    assert stop.code == 71
    assert printed.startswith("error: the memory is used up (")
    assert found in printed
    assert "Traceback" in log


class TwoArgumentsError(Exception):
    """Cannot be unpickled: its text alone is stored."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def work(kind):
    if kind == "fault":
        divide()
    if kind == "odd":
        raise TwoArgumentsError("this", "that")
    raise ArtefactError("x.wav: cannot be decoded")


@pytest.mark.parametrize(
    ("kind", "code", "found"),
    [
        ("fault", 70, "ZeroDivisionError: division by zero"),
        ("odd", 70, "WorkerError: TwoArgumentsError: this and that"),
        ("known", 2, "error: x.wav: cannot be decoded\n"),
    ],
)
def test_errors_of_worker_processes(capsys, kind, code, found):
    def pooled():
        with worker_pool(1) as pool:
            list(pool.map(work, [kind]))

    stop, printed, log = outcome(capsys, pooled)
    assert stop.code == code
    assert found in printed
    assert ("in work\n" in log) == (code == 70)


def test_errors_of_spawned_workers(capsys):
    stop, printed, log = outcome(capsys, lambda: list(ordered_map(work, ["odd"] * 2, workers=2)))
    assert (stop.code, "TwoArgumentsError: this and that" in printed, "in work\n" in log) == (70, True, True)


class Broken(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise ArtefactError(f"clip {index}:\nno such file")


def test_errors_of_the_workers_of_a_loader(capsys):
    stop, printed, _ = outcome(capsys, lambda: list(DataLoader(Broken(), num_workers=1)))
    assert (stop.code, printed) == (2, "error: clip 0:\\nno such file\n")


SCRIPT = """
import sys
from utils.cli_utils import command

@command
def main(argv=None):
    {body}

main()
"""


def shell(tmp_path, body, redirection):
    """Run a command through a shell, whose redirection is under test."""
    (tmp_path / "script.py").write_text(SCRIPT.format(body=body))
    line = f'"{sys.executable}" script.py {redirection}'
    env = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    return subprocess.run(["bash", "-c", line], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("redirection", "code", "found"),
    [
        ("| head -1; exit ${PIPESTATUS[0]}", 141, ""),
        ("> /dev/full", 2, "error: while reading or writing: the disk is full"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
    ],
)
def test_an_output_that_takes_nothing(tmp_path, redirection, code, found):
    done = shell(tmp_path, "[print('x' * 1000) for _ in range(1000)]", redirection)
    assert done.returncode == code
    assert done.stderr.startswith(found)
    assert done.stderr.count("\n") == (1 if found else 0)


def test_a_broken_pipe_that_is_not_the_output_is_no_success(tmp_path):
    done = shell(tmp_path, "raise BrokenPipeError(32, 'Broken pipe')", "")
    assert done.returncode == 70
    assert done.stderr.startswith("error: this is a fault of the program: BrokenPipeError: [Errno 32] Broken pipe")


def test_a_fault_whose_error_output_is_closed_keeps_its_code(tmp_path):
    assert shell(tmp_path, "1 / 0", "2>&-").returncode == 70
    assert shell(tmp_path, "1 / 0", "2> /dev/full").returncode == 70
    assert len(list(tmp_path.glob("fault-*.log"))) == 2
