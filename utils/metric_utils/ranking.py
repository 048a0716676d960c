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

from utils.metric_utils.scores import Scores, ScoreSource, checked_blocks

Indices = NDArray[np.int64]

_CHUNK_SCORES = 2**20  # scores compared at a time: they stay in the cache for all relevant items of a query


@dataclass(frozen=True, eq=False)
class Relevance:
    """Which candidates are relevant to which query: R pairs, any number of them per query.

    Attributes:
        query_index: (R,) int64 in [0, Q).
        item_index: (R,) int64 in [0, C).
        number_of_queries: Q.
        number_of_candidates: C.

    Raises:
        ValueError: no or unequal numbers of indices, an index out of range, a pair that stands twice,
            or a query without relevant item.
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
        """(Q,) relevant items of each query, at least one."""
        return np.bincount(self.query_index, minlength=self.number_of_queries)

    @cached_property
    def _by_query(self) -> tuple[Indices, Indices, Indices]:
        """Order that sorts the pairs by query, each sorted pair's number within its query, offsets (Q + 1,)."""
        order = np.argsort(self.query_index, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(self.counts)])
        slot = np.arange(len(order)) - offsets[self.query_index[order]]
        return order, slot, offsets

    def pairs_of(self, start: int, stop: int) -> tuple[Indices, Indices]:
        """Positions among the R pairs of those with start <= query < stop, and each one's slot.

        The slot numbers the pairs of one query 0, 1, ...: at one slot a query stands at most once.
        """
        order, slot, offsets = self._by_query
        pairs = slice(offsets[start], offsets[stop])
        return order[pairs], slot[pairs]


@dataclass(frozen=True, eq=False)
class Ranking:
    """What one pass over the scores gives.

    Attributes:
        ranks: (R,) int64 from 1, one for each relevant pair in the order given.
        top_index: (Q, k) int64, each query's best candidates, best first; k is at most C.
        top_scores: (Q, k), their scores.
    """

    ranks: Indices
    top_index: Indices
    top_scores: Scores


def tie_order(number_of_candidates: int) -> Indices:
    """(C,) a fixed order of the candidates without meaning, to break ties by where neighbours belong together.

    The captions of a clip stand side by side in a table: broken by index, ties of clips that look for their captions
    would put all of one clip's captions first, above chance. The same for equal C at every call.
    """
    return np.random.default_rng(number_of_candidates).permutation(number_of_candidates)


def ranks_of_relevant(source: ScoreSource, query_index: Indices, item_index: Indices) -> Indices:
    """Rank of each relevant item among its query's candidates; memory does not grow with Q x C.

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
    """Each query's k best candidates, best first; among equal scores the smaller index.

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
    """Ranks of all relevant items and the k best candidates, in one pass over the scores.

    Args:
        source: the scores, read once.
        relevance: the relevant pairs; its Q and C are those of the source.
        k: candidates to keep for each query; 0 keeps none.
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
    """(r,) ranks of the pairs (rows, columns), sorted by row; in chunks of rows that stay in the cache."""
    step = max(1, _CHUNK_SCORES // block.shape[1])
    ranks = np.zeros(len(rows), np.int64)
    words = np.zeros((min(step, len(block)), -(-block.shape[1] // 8)), np.uint64)  # reused: fresh memory is slow
    for start in range(0, len(block), step):
        lo, hi = np.searchsorted(rows, [start, start + step])
        for slot in range(slots[lo:hi].max(initial=-1) + 1):
            pairs = lo + np.flatnonzero(slots[lo:hi] == slot)
            chunk = _take_rows(block[start : start + step], rows[pairs] - start)
            ranks[pairs] = _ranks_of_one_each(chunk, columns[pairs], words[: len(chunk)])
    return ranks


def _take_rows(chunk: Scores, rows: Indices) -> Scores:
    """The rows asked for; the chunk itself, uncopied, when it is all of them (rows ascend)."""
    return chunk if len(rows) == len(chunk) else chunk[rows]


def _ranks_of_one_each(scores: Scores, columns: Indices, words: NDArray[np.uint64]) -> Indices:
    """(q,) rank of one column in each row; `words` is room for one byte a score, its padding zero."""
    own = np.take_along_axis(scores, columns[:, None], axis=1)  # (q, 1)
    flags = words.view(np.bool_)[:, : scores.shape[1]]  # eight flags a word, counted together
    np.greater_equal(scores, own, out=flags)
    not_less = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    np.greater(scores, own, out=flags)
    greater = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    ranks = greater + 1
    tied = np.flatnonzero(not_less > ranks)  # the item itself is the one expected
    if len(tied):
        before = np.arange(scores.shape[1]) < columns[tied, None]
        ranks[tied] += np.count_nonzero((scores[tied] == own[tied]) & before, axis=1)
    return ranks


def _block_top_k(block: Scores, k: int) -> tuple[Indices, Scores]:
    """(q, min(k, C)) columns and scores, best first, ties by the smaller column."""
    width = block.shape[1]
    k = min(k, width)
    if k == 0:
        return np.empty((len(block), 0), np.int64), block[:, :0].copy()
    # torch.topk picks any of equal scores: look one further to see where the cut falls within a tie.
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
    """(q, k) columns above the threshold, filled up with the first ones that equal it."""
    greater = scores > threshold[:, None]
    equal = scores == threshold[:, None]
    room = k - np.count_nonzero(greater, axis=1)
    kept = greater | (equal & (np.cumsum(equal, axis=1, dtype=np.int32) <= room[:, None]))
    return np.nonzero(kept)[1].reshape(len(scores), k)


def _check_k(k: int) -> None:
    if k < 0:
        raise ValueError(f"k is {k}; expected 0 or more candidates to keep")


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
