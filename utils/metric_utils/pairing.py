"""Pairing accuracy: with one caption a clip, how often a clip's own caption is the most similar one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.ranking import Indices, ranks_of_relevant
from utils.metric_utils.scores import Scores, ScoreSource, checked_blocks

PAIRING_CUTOFFS = (1, 3, 10)


class PairingAccuracy(NamedTuple):
    """Values by name, such as `accuracy@1` and `batch_accuracy@1`; all but the factors are in [0, 1]."""

    measured: dict[str, float]
    chance: dict[str, float]  # expected, in closed form
    chance_drawn: dict[str, float]  # of one random order
    factor: dict[str, float]  # measured / chance


class SelectedCandidates:
    """A `ScoreSource` of some columns of another."""

    def __init__(self, source: ScoreSource, columns: Indices) -> None:
        self._source = source
        self._columns = columns

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, number of columns)."""
        return self._source.shape[0], len(self._columns)

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, columns) scores)."""
        return ((start, block[:, self._columns]) for start, block in self._source.blocks())


def first_caption_of_each_clip(clip_of_caption: Indices, number_of_clips: int) -> Indices:
    """Return the (C,) row of the first caption of each clip.

    Args:
        clip_of_caption: (M,) the clip of each caption.
        number_of_clips: C.
    Raises:
        ValueError: a clip has no caption.
    """
    clips, first = np.unique(clip_of_caption, return_index=True)
    if len(clips) != number_of_clips:
        raise ValueError(f"{number_of_clips - len(clips)} of {number_of_clips} clips have no caption")
    return first


def pairing_accuracy(
    source: ScoreSource, batch_size: int, seed: int = 0, cutoffs: Sequence[int] = PAIRING_CUTOFFS
) -> PairingAccuracy:
    """Compute accuracy@k of N pairs: the share of clips whose own caption is among the k most similar ones.

    Twice: among all N captions, and among those of a random batch of distinct clips (`batch_accuracy@k`), the
    candidates of a training step. Of equal scores the caption with the smaller index comes first.

    Args:
        source: (N, N) scores; row i is clip i, column i its caption.
        batch_size: largest number of clips of a batch; the batches are nearly equal in size.
        seed: of the batches, and of the random order behind `chance_drawn`.
        cutoffs: the values of k.
    Returns:
        Measured values (higher is better); chance, k / N, in closed form and of one random order; and the measured
        value divided by chance.
    Raises:
        ValueError: the scores are not square.
        NonFiniteScoreError: a score is NaN or infinite.
    """
    queries, candidates = source.shape
    if queries != candidates:
        raise ValueError(f"scores are ({queries}, {candidates}); expected one caption a clip, (N, N)")
    rng = np.random.default_rng(seed)
    batch_of = np.empty(queries, np.int64)  # (N,) the batch of each clip
    batches = np.array_split(rng.permutation(queries), -(-queries // batch_size))
    for number, clips in enumerate(batches):
        batch_of[clips] = number
    sizes = np.bincount(batch_of)[batch_of]  # (N,) size of each clip's batch
    own = np.arange(queries)
    measured = {
        **_shares("accuracy", ranks_of_relevant(source, own, own), cutoffs),
        **_shares("batch_accuracy", _ranks_in_batches(source, batch_of), cutoffs),
    }
    chance = {f"accuracy@{k}": min(k, queries) / queries for k in cutoffs}
    chance |= {f"batch_accuracy@{k}": float((np.minimum(k, sizes) / sizes).mean()) for k in cutoffs}
    drawn = {  # with random scores every rank is equally likely
        **_shares("accuracy", rng.integers(1, queries + 1, queries), cutoffs),
        **_shares("batch_accuracy", rng.integers(1, sizes + 1), cutoffs),
    }
    return PairingAccuracy(measured, chance, drawn, {key: measured[key] / chance[key] for key in measured})


def _shares(name: str, ranks: Indices, cutoffs: Sequence[int]) -> dict[str, float]:
    return {f"{name}@{k}": float((ranks <= k).mean()) for k in cutoffs}


def _ranks_in_batches(source: ScoreSource, batch_of: Indices) -> Indices:
    """Return the (N,) rank, from 1, of each clip's own caption among the captions of its batch."""
    columns = np.arange(len(batch_of))
    ranks = []
    for start, block in checked_blocks(source):
        rows = np.arange(start, start + len(block))
        own = block[np.arange(len(block)), rows][:, None]  # (q, 1)
        same: NDArray[np.bool_] = batch_of[rows][:, None] == batch_of
        above = (block > own) | ((block == own) & (columns < rows[:, None]))
        ranks.append(1 + np.count_nonzero(above & same, axis=1))
    return np.concatenate(ranks)
