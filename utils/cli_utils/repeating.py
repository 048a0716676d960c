"""Command lines that can be pasted into a shell."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from utils.cli_utils.texts import shell_join

_PROJECT = Path(__file__).resolve().parents[2]


def command_line(script: str, *arguments: str) -> str:
    """Return the command line that runs a script from the folder where this process runs.

    Args:
        script: a module such as `package.module`, or a file of the project's folder such as `name.py`.
        arguments: they are quoted for the shell.
    """
    if script.endswith(".py"):  # from another folder, by its whole path
        start = [python(), script if Path(script).is_file() else str(_PROJECT / script)]
        return shell_join([*start, *arguments])
    # relative paths among the arguments are of this folder, so that the line must not leave it
    where = "" if _finds_modules() else f"PYTHONPATH={shell_join([str(_PROJECT)])} "
    return where + shell_join([python(), "-m", script, *arguments])


def _finds_modules() -> bool:
    """Whether `python -m` finds the project's modules from this folder."""
    places = [Path.cwd(), *(Path(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place)]
    return any(place.resolve() == _PROJECT for place in places)


def python() -> str:
    """What to type for this interpreter: `python` where its environment is active, `.venv/bin/python` elsewhere."""
    if shutil.which("python") == sys.executable:
        return "python"
    running = Path(sys.executable)
    return str(running.relative_to(Path.cwd())) if running.is_relative_to(Path.cwd()) else str(running)
