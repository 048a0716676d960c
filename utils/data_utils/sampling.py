"""Which pairs meet in a batch: drawn from (seed, epoch) alone, so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch.utils.data import Sampler

from utils.config_utils import Spec

Ints = NDArray[np.int64]


class SamplingSpec(Spec):
    """The `training.sampling:` block: what an epoch goes through once.

    `caption`: every caption with its clip, as the DCASE 2023 baseline. `clip`: every clip with `captions_per_clip`
    of its captions, drawn anew; the clip is embedded once for all of them.
    """

    by: Literal["caption", "clip"] = "caption"
    captions_per_clip: int = Field(1, ge=1, le=64)  # by clip alone
    length_pool: int = Field(1, ge=1, le=1024)  # batches whose clips are sorted by length together; 1: no sorting


class PairBatch(NamedTuple):
    """One batch, as indices."""

    captions: Ints  # (B,) rows of the caption table
    starts: Ints  # (B,) first frame of the window of each caption's clip


class PairSampler(Sampler[PairBatch]):
    """Batches of caption-clip pairs; equal clips of a batch have equal windows."""

    def __init__(
        self, clip_of_caption: Ints, frames: Ints, max_frames: int, batch_size: int, seed: int, sampling: SamplingSpec
    ) -> None:
        """Prepare the draw.

        Args:
            clip_of_caption: (M,) the clip of each caption.
            frames: (N,) log-mel frames of each clip.
            max_frames: longer clips are cut to a random window of this many frames.
            batch_size: pairs a batch (by caption) or clips a batch (by clip).
            seed: of the run.
            sampling: what an epoch goes through.
        """
        self._clip_of_caption = clip_of_caption
        self._frames = frames
        self._max_frames = max_frames
        self._batch_size = batch_size
        self._seed = seed
        self._sampling = sampling
        self._clips = np.unique(clip_of_caption)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self._epoch = epoch

    def __len__(self) -> int:
        items = len(self._clip_of_caption) if self._sampling.by == "caption" else len(self._clips)
        return max(1, min(-(-items // self._batch_size), items // 2))  # a pair alone has nothing to contrast with

    def __iter__(self) -> Iterator[PairBatch]:
        rng = np.random.default_rng([self._seed, self._epoch])
        room = np.maximum(self._frames - self._max_frames, 0) + 1
        starts = (rng.random(len(room)) * room).astype(np.int64)  # (N,)
        groups = self._groups(rng)  # (items, captions of each)
        order = self._ordered(rng, self._clip_of_caption[groups[:, 0]])
        # nearly equal batches: no last batch of one pair
        batches = np.array_split(order, len(self))
        for number in rng.permutation(len(batches)) if self._sampling.length_pool > 1 else range(len(batches)):
            captions = self._sorted(groups[batches[number]])
            yield PairBatch(captions, starts[self._clip_of_caption[captions]])

    def _sorted(self, groups: Ints) -> Ints:
        """The captions of a batch, each once, in the order of the table."""
        return np.sort(groups[:, 0]) if self._sampling.by == "caption" else np.unique(groups)

    def _groups(self, rng: np.random.Generator) -> Ints:
        """(items, n) captions that come together: one each, or the drawn ones of a clip (repeated if too few)."""
        if self._sampling.by == "caption":
            return np.arange(len(self._clip_of_caption))[:, None]
        shuffled = np.lexsort((rng.random(len(self._clip_of_caption)), self._clip_of_caption))
        first = np.searchsorted(self._clip_of_caption[shuffled], self._clips)  # (clips,)
        count = np.diff(np.append(first, len(shuffled)))
        drawn = np.arange(self._sampling.captions_per_clip)[None, :] % count[:, None]
        return shuffled[first[:, None] + drawn]

    def _ordered(self, rng: np.random.Generator, clips: Ints) -> Ints:
        """A random order of the items; within a pool of batches, by the length of their clips."""
        order = rng.permutation(len(clips))
        if self._sampling.length_pool == 1:
            return order
        pool = np.arange(len(order)) // (self._sampling.length_pool * self._batch_size)
        lengths = np.minimum(self._frames, self._max_frames)[clips[order]]
        return order[np.lexsort((lengths, pool))]
