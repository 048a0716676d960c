"""All metrics of one system: how well its nearest tracks agree with genres and artists, under each filter.

Every track is a query, and every other one a candidate that the filter does not exclude. A track whose genre (or
artist) is unknown, or that shares it with no candidate, is no query: its metrics are undefined. Both are counted.
Candidates of unknown genre remain, and are never relevant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices
from utils.metric_utils.comparison import Comparison, compare_paired
from utils.metric_utils.intervals import Interval, bootstrap_intervals
from utils.metric_utils.ranking import tie_order
from utils.metric_utils.recommendation.hubness import Hubness, hubness
from utils.metric_utils.recommendation.labels import LabelMeasures, RelevantRanks, label_measures
from utils.metric_utils.recommendation.neighbours import Neighbours
from utils.metric_utils.recommendation.similarity import PairSimilarity, Rescaling, pair_similarities, track_scores
from utils.metric_utils.recommendation.tracks import FILTERS, Tracks
from utils.metric_utils.scores import Scores, ScoreSource, checked_blocks

LISTED = 10  # neighbours of each track in the result, and those that hubness counts
_BLOCK_BYTES = 2**22  # of scores; sorting needs several arrays of twice their size


@dataclass(frozen=True, eq=False)
class FilterMeasures:
    """The metrics of one system under one filter.

    Attributes:
        labels: `genre` and `artist`.
        neighbours: the nearest tracks of all N, 10 or fewer.
        hubness: of these.
    """

    labels: Mapping[str, LabelMeasures]
    neighbours: Neighbours
    hubness: Hubness

    def metrics(self) -> dict[str, float]:
        """Return the mean of each metric, as `genre_precision@5`; none of a label without a query."""
        return {f"{label}_{key}": value for label, found in self.labels.items() for key, value in found.means().items()}

    def chance(self) -> dict[str, float]:
        """Return what a random order is expected to reach, in closed form, under the same keys."""
        return {f"{label}_{key}": value for label, found in self.labels.items() for key, value in found.chance.items()}

    def counts(self) -> dict[str, int]:
        """Return how many tracks are queries, of unknown label, and without a relevant candidate, for each label."""
        return {
            f"{label}_{key}": value for label, found in self.labels.items() for key, value in found.counts().items()
        }

    def intervals(self, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> dict[str, Interval]:
        """Compute the percentile bootstrap interval of each metric, by track; none of a label with fewer than two."""
        return {
            f"{label}_{key}": interval
            for label, found in self.labels.items()
            if len(found.queries) > 1
            for key, interval in bootstrap_intervals(found.values, found.queries, resamples, seed, level).items()
        }


@dataclass(frozen=True, eq=False)
class SystemMeasures:
    """Everything that is measured of one system; `filters` by name: none, artist, album, version."""

    filters: Mapping[str, FilterMeasures]
    similarities: Mapping[str, PairSimilarity]

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return filter -> metric -> value, each in [0, 1], higher is better."""
        return {name: found.metrics() for name, found in self.filters.items()}

    def intervals(self, resamples: int = 2000, seed: int = 0, level: float = 0.95) -> dict[str, dict[str, Interval]]:
        """Return filter -> metric -> interval; see `FilterMeasures.intervals`."""
        return {name: found.intervals(resamples, seed, level) for name, found in self.filters.items()}

    def as_json(self) -> dict[str, Any]:
        """Return `metrics`, `chance`, `counts`, `hubness` (each by filter) and `similarities`, as plain numbers."""
        return {
            "metrics": self.metrics(),
            "chance": {name: found.chance() for name, found in self.filters.items()},
            "counts": {name: found.counts() for name, found in self.filters.items()},
            "hubness": {name: asdict(found.hubness) for name, found in self.filters.items()},
            "similarities": {
                kind: {"mean": found.mean if found.pairs else None, "pairs": found.pairs}
                for kind, found in self.similarities.items()
            },
        }


def measure_system(embeddings: NDArray[Any], tracks: Tracks, rescaling: Rescaling = "none") -> SystemMeasures:
    """Measure one system under all four filters, in one pass over the pairs of tracks.

    Args:
        embeddings: (N, E), from an `EmbeddingSpace` fitted on training tracks.
        tracks: what is known of the N tracks.
        rescaling: of the cosines, as of `track_scores`; the mean cosines of pairs are without it.
    Returns:
        For `genre` and for `artist`: precision@1, @5, @10, mAP over the whole ranking, and nDCG@10; hubness of the
        lists of 10; mean cosines.
    Raises:
        ValueError: embeddings that are not (N, E), or fewer than two tracks.
        NonFiniteEmbeddingError: an embedding holds NaN or an infinite number.
    """
    if len(embeddings) != len(tracks) or len(tracks) < 2:
        raise ValueError(
            f"{len(embeddings)} embeddings of {len(tracks)} tracks; expected one each of at least 2 tracks"
        )
    scores = track_scores(embeddings, rescaling=rescaling, block_bytes=_BLOCK_BYTES)
    labels = {"genre": tracks.genre, "artist": tracks.artist}
    exclusions = {name: tracks.exclusions(name) for name in FILTERS}
    lists: dict[str, list[Neighbours]] = {name: [] for name in FILTERS}
    ranks: dict[str, dict[str, list[RelevantRanks]]] = {name: {label: [] for label in labels} for name in FILTERS}
    for start, block, order in ranked_blocks(scores):
        rows = slice(start, start + len(block))
        same = {label: _same(code, rows, order) for label, code in labels.items()}
        for name in FILTERS:
            allowed = ~np.take_along_axis(exclusions[name].mask(rows.start, rows.stop), order, axis=1)
            rank = np.cumsum(allowed, axis=1, dtype=np.int32)  # among the candidates that are left
            lists[name].append(_first_listed(block, order, allowed, rank))
            for label in labels:
                ranks[name][label].append(RelevantRanks.of(same[label] & allowed, rank))
    found = {name: _filter_measures(lists[name], ranks[name], labels) for name in FILTERS}
    return SystemMeasures(found, pair_similarities(embeddings, tracks.genre, tracks.artist))


def paired(
    a: SystemMeasures, b: SystemMeasures, resamples: int = 10_000, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, Comparison]]:
    """Compare two systems on the same tracks: filter -> metric -> both values, b - a with its interval, and p-value.

    Raises:
        ValueError: the systems are of different tracks.
    """
    found: dict[str, dict[str, Comparison]] = {name: {} for name in a.filters}
    for name, of_a in a.filters.items():
        for label, measures in of_a.labels.items():
            other = b.filters[name].labels[label]
            if not np.array_equal(measures.queries, other.queries):
                raise ValueError(f"the systems have different queries of {label} under filter {name}")
            if len(measures.queries) > 1:
                compared = compare_paired(measures.values, other.values, measures.queries, resamples, seed, level)
                found[name].update({f"{label}_{key}": value for key, value in compared.items()})
    return found


def ranked_blocks(scores: ScoreSource) -> Iterator[tuple[int, Scores, Indices]]:
    """Yield (first query, (q, N) scores, (q, N) all candidates best first).

    Equal scores are in the fixed order without meaning of `tie_order`: tracks of one artist or genre are neighbours in
    many tables, and by row a score that says nothing would be above chance. Scores are compared as float32. One integer
    holds a score and its place among equal ones, so that an unstable sort of integers, ten times as fast as a stable
    one of floats, gives a stable order.
    """
    tied = tie_order(scores.shape[1])
    place = np.argsort(tied)
    for start, block in checked_blocks(scores):
        bits = (block.astype(np.float32) + np.float32(0)).view(np.int32)  # -0 becomes 0, which it is equal to
        bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)  # integers that ascend with the floats
        keys = np.invert(bits, out=bits).astype(np.int64)
        keys <<= 32
        keys |= place
        keys.sort(axis=1)
        keys &= 0xFFFFFFFF
        yield start, block, tied[keys]


def _same(code: Indices, rows: slice, order: Indices) -> NDArray[np.bool_]:
    """Return (q, N) True where a candidate's code is that of the query, and known; candidates as in (q, N) `order`."""
    return np.where(code < 0, -2, code)[rows, None] == code[order]


def _first_listed(block: Scores, order: Indices, allowed: NDArray[np.bool_], rank: NDArray[np.int32]) -> Neighbours:
    width = min(LISTED, block.shape[1] - 1)
    index, scores = np.full((len(block), width), -1), np.full((len(block), width), np.nan, np.float32)
    first = width + int((block.shape[1] - rank[:, -1]).max())  # columns: even if all excluded candidates are among them
    row, column = np.nonzero(allowed[:, :first] & (rank[:, :first] <= width))
    candidate, place = order[row, column], rank[row, column] - 1
    index[row, place] = candidate
    scores[row, place] = block[row, candidate]
    return Neighbours(index, scores)


def _filter_measures(
    lists: list[Neighbours], ranks: Mapping[str, list[RelevantRanks]], labels: Mapping[str, Indices]
) -> FilterMeasures:
    index, scores = (np.concatenate(blocks) for blocks in zip(*lists, strict=True))
    measures = {label: label_measures(ranks[label], code >= 0) for label, code in labels.items()}
    return FilterMeasures(measures, Neighbours(index, scores), hubness(index, len(index)))
