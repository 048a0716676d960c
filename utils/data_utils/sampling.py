"""Which pairs meet in a batch: drawn from (seed, epoch) alone, so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch.utils.data import Sampler

from utils.cli_utils import UserError
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


class ClipBatch(NamedTuple):
    """One batch of clips, as indices."""

    clips: Ints  # (B,) rows of the clip table
    starts: Ints  # (B,) first frame of the window of each


class PairBatch(NamedTuple):
    """One batch of pairs, as indices."""

    captions: Ints  # (B,) rows of the caption table
    starts: Ints  # (B,) first frame of the window of each caption's clip


class _EpochSampler:
    """What all draws share: each epoch has random numbers of its own."""

    def clips_of(self, batch: ClipBatch | PairBatch) -> Ints:
        """Which clip, or window of one, each item of a batch is: (B,), equal for items that are embedded together."""
        return np.arange(len(batch[0]))

    def __init__(self, batch_size: int, seed: int) -> None:
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self._epoch = epoch

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._epoch])


class _RandomWindowSampler(_EpochSampler):
    """What drawing clips and drawing pairs share: one random window a clip, and batches by length."""

    def __init__(self, lengths: Ints, max_length: int, batch_size: int, seed: int, length_pool: int) -> None:
        super().__init__(batch_size, seed)
        self._lengths = lengths
        self._max_length = max_length
        self._length_pool = length_pool

    def _starts(self, rng: np.random.Generator) -> Ints:
        """(N,) where the window of each clip begins."""
        room = np.maximum(self._lengths - self._max_length, 0) + 1
        return (rng.random(len(room)) * room).astype(np.int64)

    def _batches(self, rng: np.random.Generator, clips: Ints, count: int) -> Iterator[Ints]:
        """Random batches of items; within a pool of batches, by the length of their clips.

        Args:
            rng: of the epoch.
            clips: (items,) the clip of each item.
            count: how many batches.
        """
        order = rng.permutation(len(clips))
        if self._length_pool > 1:
            pool = np.arange(len(order)) // (self._length_pool * self._batch_size)
            lengths = np.minimum(self._lengths, self._max_length)[clips[order]]
            order = order[np.lexsort((lengths, pool))]
        # nearly equal batches: a last batch of one item has nothing to contrast with, or to normalise over
        batches = np.array_split(order, count)
        # sorted batches come in random order, so that an epoch does not go from long clips to short ones
        for number in rng.permutation(count) if self._length_pool > 1 else range(count):
            yield batches[number]


class ClipSampler(_RandomWindowSampler, Sampler[ClipBatch]):
    """Batches of clips, each clip once an epoch."""

    def __len__(self) -> int:
        return -(-len(self._lengths) // self._batch_size)

    def __iter__(self) -> Iterator[ClipBatch]:
        rng = self._rng()
        starts = self._starts(rng)
        for rows in self._batches(rng, np.arange(len(starts)), len(self)):
            clips = np.sort(rows)
            yield ClipBatch(clips, starts[clips])


class WindowSampler(_EpochSampler, Sampler[ClipBatch]):
    """Batches of windows that are fixed, each window once an epoch: all of a long clip, not one of them."""

    def __init__(self, clips: Ints, starts: Ints, batch_size: int, seed: int) -> None:
        """Prepare the draw.

        Args:
            clips: (W,) the clip of each window, in ascending order.
            starts: (W,) where each begins; of one clip in ascending order.
            batch_size: windows a batch.
            seed: of the run.
        """
        super().__init__(batch_size, seed)
        self._clips, self._starts = clips, starts

    def __len__(self) -> int:
        return -(-len(self._clips) // self._batch_size)

    def __iter__(self) -> Iterator[ClipBatch]:
        for rows in np.array_split(self._rng().permutation(len(self._clips)), len(self)):
            windows = np.sort(rows)  # those of one file in its order
            yield ClipBatch(self._clips[windows], self._starts[windows])


class PairSampler(_RandomWindowSampler, Sampler[PairBatch]):
    """Batches of caption-clip pairs; equal clips of a batch have equal windows."""

    least = 2  # pairs of a batch: one alone has nothing to contrast with

    def __init__(
        self, clip_of_caption: Ints, lengths: Ints, max_length: int, batch_size: int, seed: int, sampling: SamplingSpec
    ) -> None:
        """Prepare the draw.

        Args:
            clip_of_caption: (M,) the clip of each caption.
            lengths: (N,) frames (or samples) of each clip.
            max_length: longer clips are cut to a random window of so many.
            batch_size: pairs a batch (by caption) or clips a batch (by clip).
            seed: of the run.
            sampling: what an epoch consists of.
        """
        super().__init__(lengths, max_length, batch_size, seed, sampling.length_pool)
        self._clip_of_caption = clip_of_caption
        self._sampling = sampling
        self._clips = np.unique(clip_of_caption)

    def __len__(self) -> int:
        items = len(self._clip_of_caption) if self._sampling.by == "caption" else len(self._clips)
        return max(1, min(-(-items // self._batch_size), items // self.least))

    def __iter__(self) -> Iterator[PairBatch]:
        rng = self._rng()
        starts = self._starts(rng)
        groups = self._groups(rng)  # (items, captions of each)
        for rows in self._batches(rng, self._clip_of_caption[groups[:, 0]], len(self)):
            captions = self._sorted(groups[rows])
            yield PairBatch(captions, starts[self._clip_of_caption[captions]])

    def clips_of(self, batch: ClipBatch | PairBatch) -> Ints:
        """Which clip each pair has: (B,)."""
        return self._clip_of_caption[batch[0]]

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


class DealtSampler(Sampler[ClipBatch | PairBatch]):
    """The batches of another sampler, each dealt to the ranks that train together, and cut in parts.

    Which items meet in a batch does not depend on how many ranks and parts there are. All pairs of a clip stay
    together: it is embedded once, and counts once in batch statistics, as in a whole batch. Only where a batch happens
    to have fewer clips than there are parts, its pairs are dealt one by one.
    """

    def __init__(self, whole: ClipSampler | WindowSampler | PairSampler) -> None:
        self._whole = whole
        self._share, self._shares, self._parts = 0, 1, 1

    def deal(self, rank: int, ranks: int, parts: int) -> None:
        """Choose a share; see `TrainLoader.deal`.

        Raises:
            UserError: a batch has too few items.
        """
        smallest = min(len(batch[0]) for batch in self._whole)  # the same in every epoch, unlike the clips of a batch
        if smallest < ranks * parts:
            key = "training.accumulate" if ranks == 1 else "ray.workers_per_trial"
            wanted = f"{ranks} ranks" if parts == 1 else f"{ranks * parts} parts ({parts} on each of {ranks} ranks)"
            wanted = f"{parts} parts" if ranks == 1 else wanted
            raise UserError(
                f"{key}: the smallest batch, of {smallest} item{'s' if smallest > 1 else ''}, cannot be shared out to "
                f"{wanted}; lower it, or choose another training.batch_size"
            )
        self._share, self._shares, self._parts = rank, ranks, parts

    def __len__(self) -> int:
        return len(self._whole)

    def __iter__(self) -> Iterator[ClipBatch | PairBatch]:
        if self._shares * self._parts == 1:
            yield from self._whole
            return
        first, pieces = self._share * self._parts, self._shares * self._parts
        for batch in self._whole:
            clips, clip = np.unique(self._whole.clips_of(batch), return_inverse=True)
            if len(clips) < pieces:
                clips = clip = np.arange(len(batch[0]))
            piece = (np.arange(len(clips)) * pieces // len(clips))[clip]
            for number in range(first, first + self._parts):
                yield type(batch)(*(array[piece == number] for array in batch))
