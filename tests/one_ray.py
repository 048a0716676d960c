"""One Ray for all searches of a test module: its start and its end take longer than a tiny search."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from utils.tune_utils import running_ray


@contextlib.contextmanager
def one_ray(folder: Path) -> Iterator[None]:
    """Let searches find a Ray that runs; each has a temporary folder of its own in that Ray's.

    Args:
        folder: for the logs, if Ray does not start.
    """
    with pytest.MonkeyPatch.context() as patch, running_ray.ray_session(None, folder) as scratch:

        @contextlib.contextmanager
        def running(*_: object, **__: object) -> Iterator[Path]:
            yield Path(tempfile.mkdtemp(prefix="search-", dir=scratch))

        patch.setattr(running_ray, "ray_session", running)
        yield
