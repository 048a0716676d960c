"""Stage 1 under Ray Data: an executor whose chunks are the rows of a dataset, and whose processes are actors.

A row is the number of a chunk and the ids and paths of its clips, a few dozen bytes a clip; what comes back are
failures. Arrays go from an actor to its temporary file on the shared disk, and never through Ray's memory.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.cli_utils import UserError
from utils.executors import Advance, Failed, Item, Work, unseen
from utils.process_utils import picklable
from utils.tune_utils.trial import exit_quietly


class ActorShape(NamedTuple):
    """What an actor takes of a machine.

    Attributes:
        cpus: that Ray reserves.
        gpus: 0 or 1.
        threads: of torch, where the last bits depend on their number; None: one for each of `cpus`.
    """

    cpus: int
    gpus: int = 0
    threads: int | None = None


class ChunkActors(NamedTuple):
    """An executor: actors on the machines of a Ray that runs.

    Attributes:
        actors: how many, at most.
        shape: of each.
        most_tries: an actor that dies is replaced without end, but no chunk is begun more often than this.
    """

    actors: int
    shape: ActorShape
    most_tries: int = 3

    def __call__(self, work: Work[Item], chunks: Sequence[Sequence[Item]], advance: Advance) -> Iterator[list[Failed]]:
        """Run work on all chunks.

        Raises:
            UserError: of the work, or processes died again and again on the same chunk.
        """
        if not chunks:
            return
        for batch in self._dataset(work, chunks).iter_batches(batch_size=None):
            for number, packed in zip(batch["number"], batch["outcome"], strict=True):
                outcome = _unpacked(packed)
                if isinstance(outcome, Exception):
                    raise outcome
                advance(len(chunks[number]))
                yield outcome

    def _dataset(self, work: Work[Item], chunks: Sequence[Sequence[Item]]) -> Any:
        """A row for each chunk, with its outcome; nothing is computed yet."""
        import ray
        import ray.data

        silence()
        tries: Any = ray.remote(tries_class())
        tries = tries.options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        threads = self.shape.threads or max(1, self.shape.cpus)
        start = _Start(_packed(work), Path.cwd(), threads, tries, self.most_tries, socket.gethostname())
        rows = [{"number": number, "chunk": _packed(list(chunk))} for number, chunk in enumerate(chunks)]
        return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _ChunkActor,
            batch_size=1,
            fn_constructor_args=(start,),
            compute=ray.data.ActorPoolStrategy(size=min(self.actors, len(rows))),
            num_cpus=self.shape.cpus,
            num_gpus=self.shape.gpus,
        )


class _Start(NamedTuple):
    """What every actor is made with."""

    work: bytes
    directory: Path  # where the command was given: relative paths begin there
    threads: int
    tries: Any  # counts how often a chunk was begun
    most_tries: int
    driver: str  # the machine of the command


class _ChunkActor:
    """Writes temporary files; an error is returned, since one that is raised would be tried again, or shown twice."""

    def __init__(self, start: _Start) -> None:
        exit_quietly()
        self._start = start
        self._work: Work[Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        number = int(batch["number"][0])
        try:
            outcome: Any = self._write(number, batch["chunk"][0])
        except Exception as error:  # noqa: BLE001 - of the work, which is raised where the command runs
            outcome = self._sent(error)
        return {"number": [number], "outcome": [_packed(outcome)]}

    def _write(self, number: int, packed: bytes) -> list[Failed]:
        import ray

        chunk = _unpacked(packed)
        if ray.get(self._start.tries.begin.remote(number)) > self._start.most_tries:
            name = getattr(chunk[0], "fname", chunk[0][0])
            raise UserError(
                f"{self._start.most_tries} processes in turn have died on the same {len(chunk)} files, the first is "
                f"{name}: a file that breaks its decoder, or too little memory; run again without --ray and with "
                "--workers 1 to see which: finished work is not repeated"
            )
        return self._loaded()(chunk, unseen)

    def _loaded(self) -> Work[Any]:
        if self._work is None:
            os.chdir(self._start.directory)
            work: Work[Any] = _unpacked(self._start.work)
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(self._start.threads)
            self._work = work
        return self._work

    def _sent(self, error: Exception) -> Exception:
        host = socket.gethostname()
        if isinstance(error, UserError) and host != self._start.driver:
            error.args = (f"machine {host}: {error}",)
        sent = picklable(error)
        sent.add_note(f"in a process of Ray on {host}:\n{traceback.format_exc()}")
        return sent


def tries_class() -> type:
    """A class whose one actor counts how often each chunk was begun.

    It is made in a function, so that Ray sends it whole: its process need not import this project, and torch with it.
    """

    class Tries:
        def __init__(self) -> None:
            self._begun: Counter[int] = Counter()

        def begin(self, number: int) -> int:
            self._begun[number] += 1
            return self._begun[number]

    return Tries


def silence() -> None:
    """Let Ray Data print nothing: progress and errors are shown by the command."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _packed(value: Any) -> bytes:
    from ray import cloudpickle

    return zlib.compress(cloudpickle.dumps(value))


def _unpacked(packed: bytes) -> Any:
    from ray import cloudpickle

    return cloudpickle.loads(zlib.decompress(packed))
