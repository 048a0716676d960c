"""Scores -> the rank of every relevant item and each query's best candidates, without sorting a row.

Ties are stable: among equal scores the candidate with the smaller index comes first, so that a constant
score matrix stays at chance and every run gives the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices
from utils.metric_utils.scores import Scores, ScoreSource, checked_blocks

_CHUNK_SCORES = 2**20  # scores compared at a time: they stay in the CPU's cache for all relevant items of a query


@dataclass(frozen=True, eq=False)
class Relevance:
    """Which candidates are relevant to which query: R pairs, any number of them per query.

    Attributes:
        query_index: (R,) int64 in [0, Q).
        item_index: (R,) int64 in [0, C).
        number_of_queries: Q.
        number_of_candidates: C.

    Raises:
        ValueError: no or unequal numbers of indices, an index out of range, a duplicate pair, or a query
            without relevant item.
    """

    query_index: Indices
    item_index: Indices
    number_of_queries: int
    number_of_candidates: int

    def __post_init__(self) -> None:
        query_index = _index_array(self.query_index, "query_index", self.number_of_queries)
        item_index = _index_array(self.item_index, "item_index", self.number_of_candidates)
        if len(query_index) != len(item_index):
            found = f"{len(query_index)} query indices and {len(item_index)} item indices"
            raise ValueError(f"{found}; expected one of each for a pair")
        object.__setattr__(self, "query_index", query_index)
        object.__setattr__(self, "item_index", item_index)
        _check_pairs(query_index, item_index, self.counts)

    @cached_property
    def counts(self) -> Indices:
        """(Q,) number of relevant items of each query, at least 1."""
        return np.bincount(self.query_index, minlength=self.number_of_queries)

    @cached_property
    def _by_query(self) -> tuple[Indices, Indices, Indices]:
        """Order that sorts the pairs by query, slot of each sorted pair (see `pairs_of`), offsets (Q + 1,)."""
        order = np.argsort(self.query_index, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(self.counts)])
        slot = np.arange(len(order)) - offsets[self.query_index[order]]
        return order, slot, offsets

    def pairs_of(self, start: int, stop: int) -> tuple[Indices, Indices]:
        """Return the positions of the pairs with start <= query < stop, and their slots.

        The pairs of one query have the slots 0, 1, ...: the pairs of one slot have distinct queries, so that a
        vectorised comparison handles one slot of all queries at a time.
        """
        order, slot, offsets = self._by_query
        pairs = slice(offsets[start], offsets[stop])
        return order[pairs], slot[pairs]


@dataclass(frozen=True, eq=False)
class Ranking:
    """The result of one pass over the scores.

    Attributes:
        ranks: (R,) int64 from 1, one for each relevant pair, in their order.
        top_index: (Q, k) int64, the top-k candidates of each query, best first; k is at most C.
        top_scores: (Q, k), their scores.
    """

    ranks: Indices
    top_index: Indices
    top_scores: Scores


def tie_order(number_of_candidates: int) -> Indices:
    """Return a fixed random permutation of the C candidates, to break ties in place of the index.

    The captions of a clip are neighbours in a table: with ties broken by index, a constant score matrix would rank all
    captions of one clip first, and audio-to-text metrics would be above chance.

    Returns:
        (C,) int64, the same for equal C.
    """
    return np.random.default_rng(number_of_candidates).permutation(number_of_candidates)


def ranks_of_relevant(source: ScoreSource, query_index: Indices, item_index: Indices) -> Indices:
    """Compute the rank of each relevant item among its query's candidates; memory does not grow with Q x C.

    The rank is 1 + the number of greater scores + the number of equal scores at a smaller index.

    Args:
        source: scores (Q, C) in blocks, higher = more similar.
        query_index: (R,) rows; every row at least once.
        item_index: (R,) columns.
    Returns:
        (R,) int64 in [1, C], in the order of the pairs; lower is better.
    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
        ValueError: see `Relevance`.
    """
    relevance = Relevance(query_index, item_index, *source.shape)
    return rank_and_top_k(source, relevance, k=0).ranks


def top_k(source: ScoreSource, k: int) -> tuple[Indices, Scores]:
    """Return the top-k candidates of each query, best first; of equal scores the smaller index comes first.

    Returns:
        (Q, min(k, C)) int64 indices and their scores.
    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
        ValueError: k is negative.
    """
    _check_k(k)
    blocks = [_block_top_k(block, k) for _, block in checked_blocks(source)]
    return np.concatenate([index for index, _ in blocks]), np.concatenate([best for _, best in blocks])


def rank_and_top_k(source: ScoreSource, relevance: Relevance, k: int) -> Ranking:
    """Compute the ranks of all relevant items and the top-k candidates, in one pass over the scores.

    Args:
        source: the scores, read once.
        relevance: the relevant pairs; Q and C must be those of the source.
        k: number of candidates to return for each query, 0 or more.
    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
        ValueError: the source and the pairs differ in Q or C, or k is negative.
    """
    _check_k(k)
    expected = relevance.number_of_queries, relevance.number_of_candidates
    if source.shape != expected:
        raise ValueError(f"the scores are {source.shape}, the relevant pairs are of {expected}")
    ranks = np.zeros(len(relevance.query_index), np.int64)
    best: list[tuple[Indices, Scores]] = []
    for start, block in checked_blocks(source):
        pairs, slots = relevance.pairs_of(start, start + len(block))
        rows = relevance.query_index[pairs] - start
        ranks[pairs] = _block_ranks(block, rows, relevance.item_index[pairs], slots)
        best.append(_block_top_k(block, k))
    return Ranking(ranks, np.concatenate([i for i, _ in best]), np.concatenate([s for _, s in best]))


def _block_ranks(block: Scores, rows: Indices, columns: Indices, slots: Indices) -> Indices:
    """Return the (r,) ranks of the pairs (rows, columns), sorted by row; in chunks of rows that fit in the cache."""
    step = max(1, _CHUNK_SCORES // block.shape[1])
    ranks = np.zeros(len(rows), np.int64)
    words = np.zeros((min(step, len(block)), -(-block.shape[1] // 8)), np.uint64)  # reused: allocating is slow
    for start in range(0, len(block), step):
        lo, hi = np.searchsorted(rows, [start, start + step])
        for slot in range(slots[lo:hi].max(initial=-1) + 1):
            pairs = lo + np.flatnonzero(slots[lo:hi] == slot)
            chunk = _take_rows(block[start : start + step], rows[pairs] - start)
            ranks[pairs] = _ranks_of_one_each(chunk, columns[pairs], words[: len(chunk)])
    return ranks


def _take_rows(chunk: Scores, rows: Indices) -> Scores:
    """Select ascending rows; without a copy where these are all rows."""
    return chunk if len(rows) == len(chunk) else chunk[rows]


def _ranks_of_one_each(scores: Scores, columns: Indices, words: NDArray[np.uint64]) -> Indices:
    """Return the (q,) rank of one column in each row.

    Counting greater scores costs one comparison a score; sorting the row would cost log2(C) of them.

    Args:
        scores: (q, C).
        columns: (q,).
        words: (q, ceil(C / 8)) uint64, a buffer with one byte a score, and zero in the padding bytes.
    """
    own = np.take_along_axis(scores, columns[:, None], axis=1)  # (q, 1)
    # A bool is a byte of 0 or 1: the popcount of a 64-bit word counts eight flags at once.
    flags = words.view(np.bool_)[:, : scores.shape[1]]
    np.greater_equal(scores, own, out=flags)
    not_less = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    np.greater(scores, own, out=flags)
    greater = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    ranks = greater + 1
    tied = np.flatnonzero(not_less > ranks)  # without a tie, only the item itself equals its score
    if len(tied):
        before = np.arange(scores.shape[1]) < columns[tied, None]
        ranks[tied] += np.count_nonzero((scores[tied] == own[tied]) & before, axis=1)
    return ranks


def _block_top_k(block: Scores, k: int) -> tuple[Indices, Scores]:
    """Return the (q, min(k, C)) best columns and their scores, best first, ties by the smaller column."""
    width = block.shape[1]
    k = min(k, width)
    if k == 0:
        return np.empty((len(block), 0), np.int64), block[:, :0].copy()
    # torch.topk picks any of equal scores: the (k + 1)-th score shows whether the cut is within a tie.
    best = torch.topk(torch.from_numpy(block), min(k + 1, width), dim=1)
    values, columns = best.values.numpy(), best.indices.numpy()
    if k < width:
        cut = np.flatnonzero(values[:, k - 1] == values[:, k])
        columns[cut, :k] = _columns_at_cut(block[cut], values[cut, k - 1], k)
    columns = columns[:, :k]
    values = np.take_along_axis(block, columns, axis=1)
    order = np.lexsort((columns, -values), axis=1)
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def _columns_at_cut(scores: Scores, threshold: NDArray[Any], k: int) -> Indices:
    """Return the (q, k) columns above the threshold, and of those that equal it the first ones, k in all."""
    greater = scores > threshold[:, None]
    equal = scores == threshold[:, None]
    missing = k - np.count_nonzero(greater, axis=1)
    chosen = greater | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= missing[:, None]))
    return np.nonzero(chosen)[1].reshape(len(scores), k)


def _check_k(k: int) -> None:
    if k < 0:
        raise ValueError(f"k is {k}; expected 0 or more candidates")


def _index_array(index: NDArray[Any], name: str, size: int) -> Indices:
    index = np.asarray(index)
    if index.ndim != 1 or not len(index) or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(f"{name} is {index.dtype} {index.shape}; expected integers (R,), R >= 1")
    bad = np.flatnonzero((index < 0) | (index >= size))
    if len(bad):
        raise ValueError(f"{name}[{bad[0]}] is {index[bad[0]]}; expected 0 to {size - 1}")
    return index.astype(np.int64)


def _check_pairs(query_index: Indices, item_index: Indices, counts: Indices) -> None:
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        raise ValueError(f"query {empty[0]} has no relevant item")
    order = np.lexsort((item_index, query_index))
    query, item = query_index[order], item_index[order]
    twice = np.flatnonzero((np.diff(query) == 0) & (np.diff(item) == 0))
    if len(twice):
        raise ValueError(f"query {query[twice[0]]} has relevant item {item[twice[0]]} twice")
