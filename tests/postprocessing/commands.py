"""Run a command in this process, as its users see it."""

from typing import NamedTuple

import pytest

from utils.cli_utils import Command, command_line


class Result(NamedTuple):
    code: int
    out: str
    err: str


def run(main: Command, capsys: pytest.CaptureFixture, folder, *arguments: str) -> Result:
    capsys.readouterr()
    code = 0
    try:
        main(["--conf", str(folder / "conf.yaml"), *arguments])
    except SystemExit as exit_:
        code = int(exit_.code or 0)
        if code == 70:  # a fault: pytest shows what caused it
            raise
    return Result(code, *capsys.readouterr())


def command_of(folder, script: str, *arguments: str) -> str:
    """The command line that a message names, of the run in `folder`."""
    return command_line(script, "--conf", str(folder / "conf.yaml"), *arguments)


def error_of(result: Result) -> str:
    """The one line that a refused command leaves on stderr."""
    assert result.code == 2
    assert "Traceback" not in result.out + result.err
    assert [line.startswith("error: ") for line in result.err.splitlines()].count(True) == 1
    return result.err.strip().removeprefix("error: ")
