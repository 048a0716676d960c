"""Checks of arguments, folders and free disk that several commands make."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from utils.cli_utils.errors import UserError


def positive(text: str) -> int:
    """An argparse type: a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text}")
    return int(text)


def whole(text: str) -> int:
    """An argparse type: a whole number, 0 or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or above, got {text}")
    return int(text)


def existing_folder(path: Path, key: str, repair: str) -> Path:
    """`path` if it is a folder.

    Raises:
        UserError: it is not; the message names the YAML key and the repair.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise UserError(f"{key}: folder {path} {found}; {repair}")
    return path


def check_free_disk(folder: Path, need_bytes: float, key: str) -> None:
    """Make sure that the disk of `folder` (which need not exist yet) has room.

    Raises:
        UserError: it has less; the message names the YAML key that chooses the folder.
    """
    standing = next(p for p in [folder.absolute(), *folder.absolute().parents] if p.exists())
    free = shutil.disk_usage(standing).free
    if need_bytes > free:
        raise UserError(
            f"{folder}: needs {need_bytes / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; free some space, or name "
            f"another folder with --set {key}=DIR"
        )
