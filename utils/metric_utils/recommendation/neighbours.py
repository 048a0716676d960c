"""The nearest tracks of each track, and those that several seed tracks agree on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.ranking import top_k
from utils.metric_utils.recommendation.tracks import Exclusions
from utils.metric_utils.scores import Scores, ScoreSource, checked_blocks

Agreement = Literal["reciprocal_rank", "borda"]
RANK_CONSTANT = 60  # of reciprocal rank fusion, as published
_EXCLUDED = -1e30  # below every score; finite, so that the checks of finite scores remain


class Neighbours(NamedTuple):
    """The nearest tracks of Q queries, best first.

    Attributes:
        rows: (Q, K) int64, of tracks; -1 where fewer than K are candidates.
        scores: (Q, K) their scores; NaN where there is none.
    """

    rows: Indices
    scores: Scores


def nearest_tracks(scores: ScoreSource, k: int, exclusions: Exclusions | None = None) -> Neighbours:
    """Find the k best candidates of each query; of equal scores the smaller row comes first.

    Exact, with one block of scores in memory: the flat index of faiss is slower, see benchmarks/bench_recommend_memory.

    Args:
        scores: (Q, N), from `track_scores`.
        k: number of neighbours, at least 1.
        exclusions: of the N tracks, which are also the queries; None: queries are other tracks, and every track is a
            candidate.
    Raises:
        ValueError: k below 1, or exclusions of another number of tracks.
        NonFiniteScoreError: a score is NaN or infinite.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1 neighbour")
    if exclusions is not None and scores.shape != (exclusions.number, exclusions.number):
        raise ValueError(f"scores are {scores.shape}, exclusions are of {exclusions.number} tracks; expected (N, N)")
    index, best = top_k(scores if exclusions is None else _AllowedScores(scores, exclusions), k)
    none = best <= _EXCLUDED
    return Neighbours(np.where(none, -1, index), np.where(none, np.float32(np.nan), best))


class _AllowedScores:
    """A `ScoreSource` with the excluded candidates below all others."""

    def __init__(self, scores: ScoreSource, exclusions: Exclusions) -> None:
        self._scores = scores
        self._exclusions = exclusions

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N)."""
        return self._scores.shape

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, N) scores); they overwrite those of the source."""
        for start, block in checked_blocks(self._scores):
            np.putmask(block, self._exclusions.mask(start, start + len(block)), _EXCLUDED)
            yield start, block


class AgreedTracks(NamedTuple):
    """The tracks on which several lists agree, best first: (k',) rows and points, k' at most k."""

    rows: Indices
    points: Values


def agreed_tracks(
    lists: NDArray[np.int64],
    number: int,
    k: int,
    how: Agreement = "reciprocal_rank",
    excluded: NDArray[np.bool_] | None = None,
) -> AgreedTracks:
    """Combine the lists of several seed tracks by their ranks; of equal points the smaller row comes first.

    The average of two embeddings may resemble neither track, and scores of two queries are not comparable; ranks are.

    Args:
        lists: (S, K) neighbours of S seeds, best first, -1: none; longer than k, since a track may be far down in one.
        number: N, of all tracks.
        k: length of the combined list.
        how: "reciprocal_rank": 1 / (60 + rank), added over the lists. "borda": K + 1 - rank.
        excluded: (N,) True for the seeds, and for tracks that a filter excludes for any of them: the list of another
            seed may hold them.
    Returns:
        The tracks that are in at least one list.
    Raises:
        ValueError: lists that are not (S, K) rows of tracks, k below 1, or an unknown `how`.

    Source: Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet", SIGIR 2009.
    """
    if lists.ndim != 2 or not lists.size or lists.min() < -1 or lists.max() >= number:
        raise ValueError(f"lists are {lists.shape}; expected (S, K) rows below {number}, or -1")
    if k < 1 or how not in get_args(Agreement):
        raise ValueError(f"k is {k}, how is {how!r}; expected at least 1, and one of {', '.join(get_args(Agreement))}")
    rank = np.arange(1, lists.shape[1] + 1)
    of_rank = 1 / (RANK_CONSTANT + rank) if how == "reciprocal_rank" else lists.shape[1] + 1.0 - rank
    listed = lists >= 0
    weights = np.broadcast_to(of_rank, lists.shape)[listed]
    points = np.bincount(lists[listed], weights=weights, minlength=number).astype(np.float64)
    if excluded is not None:
        points[excluded] = 0
    best = np.argsort(-points, kind="stable")[:k]
    best = best[points[best] > 0]
    return AgreedTracks(best, points[best])
