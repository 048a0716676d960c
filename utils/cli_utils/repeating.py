"""Command lines that repeat the `--conf` and `--set` of this process, for messages."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.cli_utils.texts import shell_join

_PROJECT = Path(__file__).resolve().parents[2]

_conf_arguments: list[str] = []


def remember_conf(arguments: Sequence[str]) -> None:
    """Keep the `--conf` and `--set` of this process, so that `command_for` can repeat them."""
    _conf_arguments[:] = arguments


def remembered_conf() -> list[str]:
    """What `remember_conf` keeps."""
    return list(_conf_arguments)


def command_for(script: str, *arguments: str) -> str:
    """The command line that runs `script` with this process's own `--conf` and `--set`.

    Args:
        script: a module such as `preprocessing.audio_logmel`, or `main.py`.
        arguments: further arguments; they are quoted for the shell.
    """
    if script.endswith(".py"):  # from another folder, by its whole path
        start = [python(), script if Path(script).is_file() else str(_PROJECT / script)]
    else:
        start = [python(), "-m", script]
    return shell_join([*start, *_conf_arguments, *arguments])


def python() -> str:
    """What to type for this interpreter: `python` where its environment is active, `.venv/bin/python` elsewhere."""
    if shutil.which("python") == sys.executable:
        return "python"
    running = Path(sys.executable)
    return str(running.relative_to(Path.cwd())) if running.is_relative_to(Path.cwd()) else str(running)
