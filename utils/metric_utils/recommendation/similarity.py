"""Scores of tracks in blocks of queries, and the mean cosine of same-genre, same-artist and different pairs.

In many dimensions a few tracks, the hubs, are among the nearest of very many others. Local scaling and mutual
proximity reduce that: a pair is near if it is nearer than the other neighbours of both tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.ranking import top_k
from utils.metric_utils.recommendation.spaces import unit_vectors
from utils.metric_utils.scores import BLOCK_BYTES, EmbeddingScores, Scores, ScoreSource

Rescaling = Literal["none", "local_scaling", "mutual_proximity"]
LOCAL_NEIGHBOURS = 10  # of local scaling
_FLOOR = 1e-6  # of distances and deviations: the rounding of a float32 cosine


def track_scores(
    tracks: NDArray[Any],
    queries: NDArray[Any] | None = None,
    rescaling: Rescaling = "none",
    block_bytes: int = BLOCK_BYTES,
) -> ScoreSource:
    """Compare tracks with each other, or queries with tracks; higher = more similar.

    Args:
        tracks: (N, E) embeddings, from an `EmbeddingSpace`.
        queries: (Q, E) embeddings of other tracks; None: the tracks themselves.
        rescaling: "none": the cosine. "local_scaling": -d^2 / (s_q s_c) with the distance d = 1 - cosine, and s the
            distance of a track to its 10th nearest one. "mutual_proximity": log P(a random track is farther from the
            query) + log P(a random track is farther from the candidate), with normally distributed distances.
        block_bytes: largest size of a block of scores.
    Returns:
        (Q, N) scores in blocks; those of a track with itself are included.
    Raises:
        ValueError: shapes that do not match, an unknown rescaling, or fewer than three tracks to rescale.

    Source: Zelnik-Manor and Perona, "Self-tuning spectral clustering", NIPS 2004; Schnitzer et al., "Local and global
        scaling reduce hubs in space", JMLR 2012 (section 3.3: Gaussian mutual proximity, assumed independent).
    """
    if rescaling not in get_args(Rescaling):
        raise ValueError(f"rescaling is {rescaling!r}; choices: {', '.join(get_args(Rescaling))}")
    cosine = EmbeddingScores(
        tracks if queries is None else queries, tracks, similarity="cosine", block_bytes=block_bytes
    )
    if rescaling == "none":
        return cosine
    if len(tracks) < 3:
        raise ValueError(f"{len(tracks)} tracks; expected at least 3 for {rescaling}")
    scale = LocalScaling.of if rescaling == "local_scaling" else MutualProximity.of
    candidates = scale(tracks, tracks, True)
    return _RescaledScores(cosine, candidates if queries is None else scale(queries, tracks, False), candidates)


@dataclass(frozen=True, eq=False)
class LocalScaling:
    """The scale of each track: `distance` (N,), to one of its nearest tracks."""

    distance: NDArray[np.float32]

    @classmethod
    def of(cls, queries: NDArray[Any], tracks: NDArray[Any], same: bool) -> LocalScaling:
        """Find the distance of each query to its 10th nearest track; `same`: queries are the tracks themselves."""
        neighbours = min(LOCAL_NEIGHBOURS, len(tracks) - same)
        _, best = top_k(EmbeddingScores(queries, tracks, similarity="cosine"), neighbours + same)
        return cls(np.maximum(1 - best[:, -1], _FLOOR).astype(np.float32))

    def rescale(self, block: torch.Tensor, start: int, candidates: LocalScaling) -> None:
        """Replace (q, N) cosines, of the queries from `start` on, by -d^2 / (s_q s_c).

        The published exp() of it has the same order, but is 0 for all far pairs.
        """
        own = torch.from_numpy(self.distance[start : start + len(block), None])
        block.sub_(1).clamp_(max=0).square_().div_(own).div_(torch.from_numpy(candidates.distance)).neg_()


@dataclass(frozen=True, eq=False)
class MutualProximity:
    """The distribution of each track's cosine with all others: mean and deviation, (N,) each."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, queries: NDArray[Any], tracks: NDArray[Any], same: bool) -> MutualProximity:
        """Compute them from sums over the tracks, without their pairs; `same`: queries are the tracks themselves."""
        of_queries, of_tracks = unit_vectors(queries), unit_vectors(tracks)
        own = (of_queries**2).sum(axis=1) if same else np.zeros(len(of_queries))  # the cosine of a track with itself
        number = len(of_tracks) - same
        mean = (of_queries @ of_tracks.sum(axis=0) - own) / number
        square = (((of_queries @ (of_tracks.T @ of_tracks)) * of_queries).sum(axis=1) - own**2) / number
        deviation = np.sqrt(np.maximum(square - mean**2, _FLOOR**2))
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    def rescale(self, block: torch.Tensor, start: int, candidates: MutualProximity) -> None:
        """Replace (q, N) cosines, of the queries from `start` on, by the log of their mutual proximity.

        A product of probabilities would round to 1 for all near pairs; their logarithms do not.
        """
        rows = slice(start, start + len(block))
        of_candidates = block - torch.from_numpy(candidates.mean)
        of_candidates.div_(torch.from_numpy(candidates.deviation))
        block.sub_(torch.from_numpy(self.mean[rows, None])).div_(torch.from_numpy(self.deviation[rows, None]))
        torch.special.log_ndtr(block, out=block)
        block.add_(torch.special.log_ndtr(of_candidates, out=of_candidates))


class _RescaledScores:
    """A `ScoreSource` of rescaled cosines; each block overwrites that of the cosines."""

    def __init__(self, cosine: EmbeddingScores, queries: Any, candidates: Any) -> None:
        self._cosine = cosine
        self._queries = queries
        self._candidates = candidates

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, N)."""
        return self._cosine.shape

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, N) float32 scores); the next block overwrites this one."""
        for start, block in self._cosine.blocks():
            self._queries.rescale(torch.from_numpy(block), start, self._candidates)
            yield start, block


@dataclass(frozen=True)
class PairSimilarity:
    """The mean cosine of a kind of pairs of tracks.

    Attributes:
        mean: NaN without a pair.
        pairs: number of unordered pairs.
    """

    mean: float
    pairs: int


def pair_similarities(embeddings: NDArray[Any], genre: Indices, artist: Indices) -> dict[str, PairSimilarity]:
    """Compute the mean cosine of all pairs of each kind: exact, without visiting the pairs.

    The sum over the pairs of a group of unit vectors is (|sum of the vectors|^2 - sum of their squares) / 2.

    Args:
        embeddings: (N, E), from an `EmbeddingSpace`.
        genre: (N,) codes, -1 where it is unknown.
        artist: (N,) codes, -1 where it is unknown.
    Returns:
        `same_genre`, `same_artist`, and `different`: neither the same genre nor the same artist, of tracks with both
        known.
    """
    vectors = unit_vectors(embeddings)
    known = (genre >= 0) & (artist >= 0)
    both = np.where(known, genre * (artist.max(initial=0) + 1) + artist, -1)
    all_known = np.where(known, 0, -1)
    kinds = {  # (sum, pairs) each
        "all": _pairs_within(vectors, all_known),
        "genre": _pairs_within(vectors, np.where(known, genre, -1)),
        "artist": _pairs_within(vectors, np.where(known, artist, -1)),
        "both": _pairs_within(vectors, both),
    }
    different = kinds["all"] - kinds["genre"] - kinds["artist"] + kinds["both"]
    sums = {
        "same_genre": _pairs_within(vectors, genre),
        "same_artist": _pairs_within(vectors, artist),
        "different": different,
    }
    return {kind: PairSimilarity(float(s / p) if p else float("nan"), int(p)) for kind, (s, p) in sums.items()}


def _pairs_within(vectors: Values, group: Indices) -> Values:
    """Return the sum of the cosines of all pairs within groups, and the number of these pairs; -1 is no group."""
    member = np.flatnonzero(group >= 0)
    if not len(member):
        return np.zeros(2)
    _, label, size = np.unique(group[member], return_inverse=True, return_counts=True)
    order = np.argsort(label, kind="stable")
    first = np.concatenate([[0], np.cumsum(size)[:-1]])
    of_group = np.add.reduceat(vectors[member[order]], first, axis=0)
    return np.array([((of_group**2).sum() - (vectors[member] ** 2).sum()) / 2, (size * (size - 1) // 2).sum()])
