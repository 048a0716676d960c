"""Batches on the device; on a GPU the next ones are loaded and copied while this one is computed."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from utils.model_utils.devices import to_device

Batch = dict[str, Tensor]
T = TypeVar("T")

# Batches that are ready or on their way: one to compute next, and one more for a batch that takes long to load.
_AHEAD = 2


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches on the device, as `to_device` moves them.

    For a GPU a thread loads them, and copies them on a stream of its own. A CPU computes while it loads nothing:
    each batch is loaded when it is wanted.

    Args:
        batches: of the CPU, pinned or not.
        device: where they are computed.
    """
    if device.type == "cpu":
        return iter(batches)
    return _received(_copied(iter(batches), device), device)


def ahead(items: Iterator[T], count: int = _AHEAD) -> Iterator[T]:
    """The same items, of which a thread makes `count` before they are wanted; its errors arrive in their place."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        waiting: collections.deque[Future[list[T]]] = collections.deque()
        try:
            while True:
                while len(waiting) < count:
                    waiting.append(thread.submit(lambda: list(itertools.islice(items, 1))))
                found = waiting.popleft().result()
                if not found:
                    return
                yield found[0]
        finally:
            thread.shutdown(wait=True, cancel_futures=True)


def _copied(batches: Iterator[Batch], device: torch.device) -> Iterator[tuple[Batch, torch.cuda.Event]]:
    """The batches on the device, and what to wait for until they are whole."""
    side = torch.cuda.Stream(device)
    for batch in batches:
        # from other memory a copy is not asynchronous; `lengths` stay where they are
        pinned = {name: value if value.is_pinned() else value.pin_memory() for name, value in batch.items()}
        with torch.cuda.stream(side):
            moved = to_device(pinned, device)
        yield moved, side.record_event()


def _received(copied: Iterator[tuple[Batch, torch.cuda.Event]], device: torch.device) -> Iterator[Batch]:
    for batch, whole in ahead(copied):
        computing = torch.cuda.current_stream(device)
        computing.wait_event(whole)
        for value in batch.values():
            if value.is_cuda:
                value.record_stream(computing)  # its memory belongs to the side stream, which must not use it again yet
        yield batch
