"""One Ray for all searches of a test module: its start and its end take longer than a tiny search."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from utils.tune_utils import RaySpec
from utils.tune_utils.running_ray import ray_settings, running_ray


@contextlib.contextmanager
def one_ray(folder: Path) -> Iterator[None]:
    """Let `launch` find a Ray that runs; each search has a temporary folder of its own in that Ray's.

    Args:
        folder: for the logs, if Ray does not start.
    """
    with pytest.MonkeyPatch.context() as patch, ray_settings(), running_ray(RaySpec(), folder) as scratch:

        @contextlib.contextmanager
        def running(*_: object) -> Iterator[Path]:
            yield Path(tempfile.mkdtemp(prefix="search-", dir=scratch))

        patch.setattr(sys.modules["utils.tune_utils.launch"], "running_ray", running)
        yield
