"""Clips decoded ahead of the network that hears them: by threads, in batches, few of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import Clip
from utils.audio_utils import AudioError, read_wave

Array = NDArray[np.float32]

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
    batches: Iterable[list[Clip]],
    root: Path,
    sample_rate_hz: int,
    workers: int,
    prepare: Callable[[Array], Array] | None = None,
) -> Iterator[list[tuple[Clip, Array | AudioError]]]:
    """Each batch with the wave of each clip, or why it has none; the next batch is decoded in the meantime.

    Args:
        batches: of clips.
        root: the folder that their paths start from.
        sample_rate_hz: of the waves.
        workers: threads.
        prepare: what to make of a wave, in the same thread; an AudioError that it raises is why there is none.
    """
    waiting: deque[list[tuple[Clip, Future[Array | AudioError]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in batches:
                jobs = [(clip, pool.submit(_decoded, root / clip.path, sample_rate_hz, prepare)) for clip in batch]
                waiting.append(jobs)
                if len(waiting) > _AHEAD:
                    yield [(clip, wave.result()) for clip, wave in waiting.popleft()]
            while waiting:
                yield [(clip, wave.result()) for clip, wave in waiting.popleft()]
        except BaseException:  # a full disk, Ctrl-C, or a reader that stops early
            pool.shutdown(cancel_futures=True)
            raise


def _decoded(path: Path, sample_rate_hz: int, prepare: Callable[[Array], Array] | None) -> Array | AudioError:
    try:
        wave = read_wave(path, sample_rate_hz)
        return wave if prepare is None else prepare(wave)
    except AudioError as error:
        return error
