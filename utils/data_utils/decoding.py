"""Clips decoded ahead of the network that takes them: by threads, in batches, few of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError
from utils.image_utils import ImageError

Array = NDArray[np.float32]
Item = TypeVar("Item")  # a wave, a picture

# Batches that are decoded while one is computed.
_AHEAD = 1


def clip_batches(clips: Sequence[Clip], batch_size: int, budget_s: float) -> Iterator[list[Clip]]:
    """The clips, in their order, in batches.

    Args:
        clips: longest first, so that those of a batch are of like length.
        batch_size: clips a batch at most.
        budget_s: seconds of sound a batch at most, where it holds more than one clip.
    """
    batch: list[Clip] = []
    total_s = 0.0
    for clip in clips:
        if batch and (len(batch) == batch_size or total_s + clip.duration_s > budget_s):
            yield batch
            batch, total_s = [], 0.0
        batch.append(clip)
        total_s += clip.duration_s
    if batch:
        yield batch


def decoded_batches(
    batches: Iterable[list[Clip]], decode: Callable[[Clip], Item], workers: int
) -> Iterator[list[tuple[Clip, Item | str]]]:
    """Each batch with the wave or picture of each clip, or why it has none; the next one is decoded in the meantime.

    Args:
        batches: of clips.
        decode: read a clip, in a thread; an AudioError or ImageError that it raises is why there is none.
        workers: threads.
    """
    waiting: deque[list[tuple[Clip, Future[Item | str]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in batches:
                waiting.append([(clip, pool.submit(_decoded, clip, decode)) for clip in batch])
                if len(waiting) > _AHEAD:
                    yield [(clip, item.result()) for clip, item in waiting.popleft()]
            while waiting:
                yield [(clip, item.result()) for clip, item in waiting.popleft()]
        except BaseException:  # a full disk, Ctrl-C, or a reader that stops early
            pool.shutdown(cancel_futures=True)
            raise


def _decoded(clip: Clip, decode: Callable[[Clip], Item]) -> Item | str:
    try:
        return decode(clip)
    except (AudioError, ImageError) as error:
        return str(error)
