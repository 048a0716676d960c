"""Search an index, with exact scores; and how hard it has to search."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.criterion_utils import Similarity
from utils.index_utils.building import prepared
from utils.index_utils.plans import IndexPlan
from utils.metric_utils.checks import Indices
from utils.metric_utils.nearest import NO_ROW, recall_of_lists, rescored, top_k_in_blocks

Array = NDArray[np.float32]

RECALL_AT = 10
RECALL_TARGET = 0.95
_MORE = {"flat": 64, "ivf": 64, "hnsw": 64, "pq": 200}  # candidates beyond the wanted ones, to be ordered exactly
_GAIN = 0.001  # of recall, that twice the effort must bring
_TIMED_QUERIES = 64


class VectorSearch:
    """The best vectors of a query, by an index.

    The index proposes candidates; their scores are then computed from the vectors themselves, and ordered by score,
    equal ones by row. A flat index so gives the lists of an exact search, but where more than 64 scores beyond the
    list's end are equal, or scores differ by less than float32 rounds.

    Args:
        index: of `build_index`, or read from a file.
        plan: that it was built by.
        vectors: (N, E) float32 that it was built from, such as an array that is mapped from disk.
        similarity: that it was built for.
        effort: of ivf and pq, lists that are scanned; of hnsw, nodes that are open at a time; flat has none.
    """

    def __init__(self, index: Any, plan: IndexPlan, vectors: Array, similarity: Similarity, effort: int) -> None:
        self._index = index
        self.plan = plan
        self._vectors = vectors
        self._similarity: Similarity = similarity
        self.effort = effort

    def search(self, queries: Array, k: int) -> tuple[Indices, Array]:
        """Find the k best vectors of each query, or all N where there are fewer.

        Args:
            queries: (Q, E) float32.
            k: 1 or more.
        Returns:
            (Q, min(k, N)) int64 rows and their scores, best first.
        """
        k = min(k, self.plan.clips)
        wanted = min(k + _MORE[self.plan.kind], self.plan.clips)
        found = self._candidates(prepared(queries, self.plan, self._similarity), wanted)
        rows, scores = rescored(queries, found, self._vectors, k, self._similarity)
        # the lists that were scanned may hold fewer than k
        short = np.flatnonzero((rows == NO_ROW).any(axis=1))
        if len(short):
            rows[short], scores[short] = top_k_in_blocks(queries[short], self._vectors, k, self._similarity)
        return rows, scores

    def _candidates(self, queries: Array, wanted: int) -> Indices:
        """(Q, wanted) rows, NO_ROW where the index has found fewer."""
        if self.plan.lists:
            self._index.nprobe = min(self.effort, self.plan.lists)
        elif self.plan.kind == "hnsw":
            self._index.hnsw.efSearch = max(self.effort, wanted)
        rows: Indices = self._index.search(queries, wanted)[1]
        return rows


class Tuned(NamedTuple):
    """How hard an index has to search, and what that gives."""

    effort: int
    recall: float  # share of the 10 best of an exact search that are found
    ms_per_query: float  # of one query at a time


def tuned(search: VectorSearch, queries: Array, exact: Indices) -> Tuned:
    """Double the effort until enough of the exact best are found; leaves it set.

    Args:
        search: over the index.
        queries: (Q, E) float32.
        exact: (Q, 10) the best rows of each by exact search, or all where there are fewer.
    """
    reached, recall = 0, -1.0
    for effort in search.plan.efforts:
        search.effort = effort
        found = recall_of_lists(search.search(queries, exact.shape[1])[0], exact)
        if search.plan.kind == "pq" and found < recall + _GAIN:  # the codes are too coarse for more lists to help
            break
        reached, recall = effort, found
        if recall >= RECALL_TARGET:
            break
    search.effort = reached
    return Tuned(reached, recall, _ms_per_query(search, queries[:_TIMED_QUERIES], exact.shape[1]))


def _ms_per_query(search: VectorSearch, queries: Array, k: int) -> float:
    start = time.perf_counter()
    for query in queries:
        search.search(query[None], k)
    return 1000 * (time.perf_counter() - start) / len(queries)
