"""What a forked process tells of the inputs that it tries."""

import os
import signal

import pytest

from tests.fuzz import forked
from utils.cli_utils import UserError


def test_every_kind_of_end_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(forked, "SECONDS", 0.2)
    path = tmp_path / "file"

    def read():
        content = path.read_bytes()
        if content == b"refused":
            raise UserError("x: found y, expected z")
        if content == b"fault":
            raise KeyError("k")
        if content == b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if content == b"memory":
            bytearray(4 * forked.MEMORY)
        while content == b"slow":
            pass

    inputs = [b"good", b"refused", b"fault", b"crash", b"memory", b"crash", b"slow", b"good"]
    found = forked.failures_of(inputs, path, read, (UserError,))
    assert [failure.number for failure in found] == [2, 3, 4, 5, 6]
    told = [failure.what.splitlines()[0] for failure in found]
    assert told == [
        "KeyError: 'k'",
        "the process ended with -11",
        "MemoryError: ",
        "the process ended with -11",
        "TooSlowError: ",
    ]
    assert 'raise KeyError("k")' in found[0].what


@pytest.mark.parametrize("inputs", [[], [b"good"]])
def test_nothing_is_told_of_what_is_read(tmp_path, inputs):
    assert forked.failures_of(inputs, tmp_path / "file", lambda: None, ()) == []
