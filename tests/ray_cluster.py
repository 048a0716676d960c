"""A Ray cluster of two nodes on this machine, and work that its actors die of at a planted point."""

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.tune_utils.connection import environment, forget_token
from utils.tune_utils.running_ray import ray_settings


@contextlib.contextmanager
def two_nodes() -> Iterator[Any]:
    """A cluster of two nodes with a processor each; all of its processes are ended with the block."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need a short path
    (folder / "ray").mkdir()  # the cluster writes its address there, and takes for granted that there is one
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    quiet = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_TMPDIR": str(folder)}
    with environment(token | quiet), ray_settings():
        forget_token()
        from ray.cluster_utils import Cluster

        cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": str(folder)}
        )
        try:
            cluster.add_node(num_cpus=1)
            yield cluster
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
    forget_token()


class PlantedWork(NamedTuple):
    """Writes a file for each chunk; a process that comes to the chunk of `deadly` kills itself first.

    Attributes:
        folder: of the files.
        deadly: an item.
        once: only the first process that comes there.
    """

    folder: Path
    deadly: str = ""
    once: bool = True

    def __call__(self, chunk: Sequence[str], advance: Callable[[int], object]) -> list[tuple[str, str]]:
        mark = self.folder / "killed"
        if self.deadly in chunk and not (self.once and mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "broken" in chunk:
            raise PlantedError("broken", 3)
        (self.folder / chunk[0]).write_text(" ".join(chunk))
        advance(len(chunk))
        return [(item, "is bad") for item in chunk if item.startswith("bad")]


class PlantedError(Exception):
    """An error that cannot be sent to another process as it is: unpickled, it lacks an argument."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(f"{text} {number}")
