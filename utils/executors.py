"""Jobs that each write one temporary file, and what runs them: here, in processes of this machine, or on a cluster.

The executor of a cluster is in utils.tune_utils; the work, its chunks and its files are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from utils.process_utils import worker_pool
from utils.report_utils import progress_bar

Item = TypeVar("Item")  # a clip, a caption
ItemOfWork = TypeVar("ItemOfWork", contravariant=True)
Loaded = TypeVar("Loaded")

# Id of an item that has no array, and why.
Failed = tuple[str, str]
Advance = Callable[[int], object]


class Work(Protocol[ItemOfWork]):
    """Writes the temporary file of some items; it is pickled, and then called in another process."""

    def __call__(self, chunk: Sequence[ItemOfWork], advance: Advance) -> list[Failed]:
        """Write the file.

        Args:
            chunk: the items of it.
            advance: is called with the number of items that are done, in all with `len(chunk)`.
        Returns:
            Those that failed.
        """


class Executor(Protocol):
    """Runs work on all chunks, in any order."""

    def __call__(self, work: Work[Item], chunks: Sequence[Sequence[Item]], advance: Advance) -> Iterator[list[Failed]]:
        """Yield the failures of each chunk as it is done; an error of the work ends it.

        Args:
            work: see above.
            chunks: the items of each temporary file.
            advance: is called with the number of items that are done.
        """


class Processes(NamedTuple):
    """An executor: so many processes of this machine; one is this process itself."""

    workers: int = 1

    def __call__(self, work: Work[Item], chunks: Sequence[Sequence[Item]], advance: Advance) -> Iterator[list[Failed]]:
        """Run work on all chunks."""
        if self.workers <= 1 or not chunks:
            for chunk in chunks:
                yield work(chunk, advance)
            return
        with worker_pool(self.workers) as pool:
            running = {pool.submit(work, chunk, unseen): len(chunk) for chunk in chunks}
            for future in as_completed(running):
                failed = future.result()
                advance(running[future])
                yield failed


def unseen(count: int) -> None:
    """`advance` of a process that shows no progress."""


def run_chunks(
    executor: Executor,
    work: Work[Item],
    chunks: Sequence[Sequence[Item]],
    label: str,
    *,
    noun: str = "clip",
    quiet: bool = False,
) -> list[Failed]:
    """Run work on all chunks under a progress bar, which shows the rate too.

    Args:
        executor: what runs it.
        work: writes the temporary file of a chunk.
        chunks: the items of each file.
        label: of the bar.
        noun: what an item is called.
        quiet: show no bar.
    Returns:
        All failures, in the order in which the chunks were done.
    """
    items = sum(len(chunk) for chunk in chunks)
    with progress_bar(items, label, noun, disable=quiet or not chunks) as bar:
        return [failure for failed in executor(work, chunks, bar.update) for failure in failed]


class Held(Generic[Loaded]):
    """Something large that every process loads for itself, once; its pickle holds only how.

    Args:
        load: loads it; picklable.
        value: where this process has it already.
    """

    def __init__(self, load: Callable[[], Loaded], value: Loaded | None = None) -> None:
        self._load = load
        self._value = value

    def __call__(self) -> Loaded:
        """Return it."""
        if self._value is None:
            self._value = self._load()
        return self._value

    def __getstate__(self) -> dict[str, Any]:
        return {"_load": self._load, "_value": None}
