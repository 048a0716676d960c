"""What a Ray of our own and a cluster have in common: environment, start, token."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables inside the block; Ray's processes inherit them."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def init_ray(*, quiet: bool = False, **options: Any) -> None:
    """Start or join Ray; workers find this project, wherever the command was given.

    Args:
        quiet: what workers print, and what Ray says of them, is not shown here.
        options: of `ray.init`.
    """
    import ray
    from ray.job_config import JobConfig

    with _unheard() if quiet else contextlib.nullcontext():
        ray.init(
            log_to_driver=not quiet,
            logging_level=logging.ERROR,
            job_config=JobConfig(_py_driver_sys_path=[str(PROJECT)]),  # for clusters, which do not inherit PYTHONPATH
            **options,
        )


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Drop what is written to stderr below Python: Ray says there that it was asked to say nothing."""
    heard, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(heard, 2)
        os.close(heard)
        os.close(nowhere)


def forget_token() -> None:
    """Make Ray read its token and mode from the environment as it is now, not as it was at the first look."""
    from ray import _raylet

    compiled: Any = _raylet
    compiled.Config.initialize("")
    compiled.AuthenticationTokenLoader.instance().reset_cache()


def one_line(error: BaseException) -> str:
    """The message of an error, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
