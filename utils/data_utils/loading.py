"""Loaders: the batches of a training epoch, and every window of a split for evaluation."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from utils.data_utils.audio_clips import Batch
from utils.data_utils.clip_features import ClipFeatures
from utils.data_utils.sampling import ClipSampler, DealtSampler, PairSampler, WindowSampler
from utils.data_utils.windows import Windows, windows_of
from utils.model_utils.ranks import rank, ranks


class AudioBatches(Dataset[Batch]):
    """The windows of clips in batches of similar length; each clip's embedding is the mean over its windows."""

    def __init__(self, audio: ClipFeatures, batch_size: int) -> None:
        self._audio = audio
        windows = windows_of(audio)
        order = np.argsort(-windows.lengths, kind="stable")
        # as many frames a batch as `batch_size` of the longest windows have
        self._batches: list[Windows] = []
        budget = batch_size * windows.lengths.max()
        start = 0
        while start < len(order):
            count = max(1, budget // windows.lengths[order[start]])
            self._batches.append(windows.take(order[start : start + count]))
            start += count

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Batch:
        """`audio` (W, T, F), (W, S) or (W, E) float32, `lengths` and `clip` (W,) int64: the clip of each window."""
        windows = self._batches[number]
        return {
            "audio": self._audio.batch(*windows),
            "lengths": torch.from_numpy(windows.lengths),
            "clip": torch.from_numpy(windows.clips),
        }


class TrainLoader:
    """Batches of a training split; iterate it once an epoch, after `set_epoch`."""

    def __init__(
        self, split: Dataset[Batch], sampler: ClipSampler | WindowSampler | PairSampler, workers: int = 0
    ) -> None:
        """Prepare the loader.

        Args:
            split: what is indexed: `AudioClips` or `CaptionedClips`.
            sampler: what is drawn from it.
            workers: processes that load batches; 0: this process.
        """
        self.epoch = 0  # that the next iteration draws
        self._sampler = sampler
        self._dealt = DealtSampler(sampler)
        self._loader = _loader(split, workers, self._dealt)

    def deal(self, rank: int, ranks: int, parts: int) -> None:
        """Yield, of every batch, the share of one rank, cut in parts that come one after the other.

        Args:
            rank: which share, from 0.
            ranks: shares of a batch.
            parts: batches that a share becomes; `len` goes on counting whole ones.
        Raises:
            UserError: a batch has fewer items than that.
        """
        self._dealt.deal(rank, ranks, parts)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch
        self._sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._loader)


class EvaluationLoader:
    """Every window of clips in batches, longest first; of several ranks, those of this one: see `share_out`.

    Args:
        audio: the clips.
        batch_size: of the longest windows; of shorter ones there are more in a batch.
        workers: processes that load batches, from the first pass on; 0: this process.
    """

    def __init__(self, audio: ClipFeatures, batch_size: int, workers: int) -> None:
        batches = AudioBatches(audio, batch_size)
        self._loader = _loader(batches, workers, range(rank(), len(batches), ranks()))

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        # Processes draw a seed when they start, and none in later passes. A pass must leave the random numbers of
        # training alike, whether it is the first one after a resume or not: each draws one.
        with torch.random.fork_rng(devices=[]):
            batches = iter(self._loader)
        torch.empty((), dtype=torch.int64).random_()
        return batches


def audio_loader(audio: ClipFeatures, batch_size: int, workers: int = 0) -> EvaluationLoader:
    """Batches of every window of the clips; with worker processes the loader of the pass before, if it was of these."""
    if workers == 0:
        return EvaluationLoader(audio, batch_size, workers)
    return _lasting_loader(audio, batch_size, workers)  # type: ignore[arg-type]  # hashed by its identity


@functools.lru_cache(maxsize=4)  # training and the splits that are measured after every epoch
def _lasting_loader(audio: ClipFeatures, batch_size: int, workers: int) -> EvaluationLoader:
    return EvaluationLoader(audio, batch_size, workers)


def _loader(dataset: Dataset[Batch], workers: int, sampler: Any) -> DataLoader[Batch]:
    """A DataLoader whose dataset makes whole batches; pinned memory where there is a GPU to copy to."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=workers > 0,
    )
