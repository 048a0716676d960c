"""Sources of scores: they yield blocks of queries, so that the whole matrix need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from utils.criterion_utils import NORM_FLOOR, Similarity

Scores = NDArray[Any]  # (Q, C) float32 or float64, higher = more similar

BLOCK_BYTES = 32 * 2**20  # large enough for a fast matrix product, small beside imports and embeddings

# BLAS multiplies one to three queries with another kernel, which rounds the scores of equal candidates
# differently: rounding would break their tie, in the last block but not in the others.
_MIN_ROWS = 16


class NonFiniteScoreError(ValueError):
    """A score is NaN or infinite; a NaN score would be ranked first.

    Attributes:
        query: row in the whole score matrix.
        candidate: column.
        value: the score.
    """

    def __init__(self, query: int, candidate: int, value: float) -> None:
        super().__init__(f"the score of query {query} and candidate {candidate} is {value}")
        self.query = query
        self.candidate = candidate
        self.value = value

    def __reduce__(self) -> tuple[type, tuple[int, int, float]]:
        """Pickle by the arguments: an exception otherwise unpickles by its message alone, which is not one of them."""
        return type(self), (self.query, self.candidate, self.value)


class NonFiniteEmbeddingError(ValueError):
    """An embedding holds NaN or an infinite number.

    Attributes:
        side: "query" or "candidate".
        row: its row.
        value: the first such number.
    """

    def __init__(self, side: str, row: int, value: float) -> None:
        super().__init__(f"the embedding of {side} {row} holds {value}")
        self.side = side
        self.row = row
        self.value = value

    def __reduce__(self) -> tuple[type, tuple[str, int, float]]:
        """Pickle by the arguments, as `NonFiniteScoreError`."""
        return type(self), (self.side, self.row, self.value)


class ScoreSource(Protocol):
    """Scores of Q queries with C candidates, a few queries at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, C)."""
        ...

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, C) scores) in the order of the queries, each query once.

        The next block may overwrite this one: copy what you need for longer.
        """
        ...


class EmbeddingScores:
    """Scores of embeddings, computed block by block; each call of `blocks` computes them again.

    Args:
        queries: (Q, E) embeddings of any floating dtype.
        candidates: (C, E) embeddings.
        similarity: "dot", or "cosine", as in `utils.criterion_utils.similarity_logits`.
        block_bytes: largest size of a block of scores (but at least 16 queries).
    Raises:
        ValueError: shapes that do not match, no query or candidate, or an unknown similarity.
        NonFiniteEmbeddingError: an embedding holds NaN or an infinite number.
    """

    def __init__(
        self,
        queries: NDArray[Any],
        candidates: NDArray[Any],
        *,
        similarity: Similarity = "dot",
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
            shapes = f"queries are {queries.shape}, candidates are {candidates.shape}"
            raise ValueError(f"{shapes}; expected (Q, E) and (C, E)")
        if similarity not in get_args(Similarity):
            choices = ", ".join(get_args(Similarity))
            raise ValueError(f"similarity is {similarity!r}; choices: {choices}")
        _check_shape((len(queries), len(candidates)))
        self._queries = _embeddings(queries, "query", similarity)
        self._candidates = _embeddings(candidates, "candidate", similarity)
        self._block_rows = max(_MIN_ROWS, _rows_of(block_bytes, len(candidates), itemsize=4))

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, C)."""
        return len(self._queries), len(self._candidates)

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, C) float32 scores); the next block overwrites this one."""
        number_of_queries, number_of_candidates = self.shape
        rows = min(self._block_rows, max(number_of_queries, _MIN_ROWS))
        # One buffer for all blocks: allocating one for each took as long as the product itself.
        buffer = torch.empty(rows, number_of_candidates)
        for start in range(0, number_of_queries, rows):
            queries = self._queries[start : start + rows]
            missing_rows = max(0, _MIN_ROWS - len(queries))
            padded = torch.nn.functional.pad(queries, (0, 0, 0, missing_rows))
            torch.mm(padded, self._candidates.T, out=buffer[: len(padded)])
            yield start, buffer[: len(queries)].numpy()


class MatrixScores:
    """Scores of a matrix: an array in memory, `scores.T` for the other direction, or a memmap.

    Args:
        scores: (Q, C) numbers; row = query, higher = more similar.
        block_bytes: largest size of a block of scores.
    Raises:
        ValueError: not a matrix, or no query or candidate.
    """

    def __init__(self, scores: NDArray[Any], *, block_bytes: int = BLOCK_BYTES) -> None:
        if scores.ndim != 2:
            raise ValueError(f"scores are {scores.shape}; expected (Q, C)")
        _check_shape(scores.shape)
        self._scores = scores
        self._block_rows = _rows_of(block_bytes, scores.shape[1], scores.itemsize)

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, C)."""
        return self._scores.shape[0], self._scores.shape[1]

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first query, (q, C) scores): views of the matrix."""
        for start in range(0, len(self._scores), self._block_rows):
            yield start, self._scores[start : start + self._block_rows]


class SelectedQueries:
    """A `ScoreSource` of some rows of another.

    Args:
        source: the scores.
        rows: (Q',) ascending.
    Raises:
        ValueError: no rows, or rows that do not ascend.
    """

    def __init__(self, source: ScoreSource, rows: NDArray[np.int64]) -> None:
        if not len(rows) or (np.diff(rows) <= 0).any():
            raise ValueError("rows must be at least one, and ascend")
        self._source = source
        self._rows = rows

    @property
    def shape(self) -> tuple[int, int]:
        """(Q', C)."""
        return len(self._rows), self._source.shape[1]

    def blocks(self) -> Iterator[tuple[int, Scores]]:
        """Yield (first of the selected queries, (q, C) scores)."""
        for start, block in self._source.blocks():
            first, last = np.searchsorted(self._rows, [start, start + len(block)])
            if first < last:
                yield int(first), block[self._rows[first:last] - start]


def checked_blocks(source: ScoreSource) -> Iterator[tuple[int, Scores]]:
    """Yield the blocks of `source`, and check that every score is finite and that no query is missing.

    Yields:
        As `ScoreSource.blocks`, C-contiguous and writable (`torch.from_numpy` needs both), float32 or
        float64; other types are converted to the one that holds their numbers.
    Raises:
        NonFiniteScoreError: a score is NaN or infinite.
        ValueError: the source skips or repeats queries, or a block has another width.
    """
    number_of_queries, number_of_candidates = source.shape
    expected = 0
    for start, block in source.blocks():
        if start != expected or block.ndim != 2 or block.shape[1] != number_of_candidates:
            found = f"block {block.shape} at query {start}"
            raise ValueError(f"{found}; expected (q, {number_of_candidates}) at query {expected}")
        block = np.require(block, np.promote_types(block.dtype, np.float32), ["C", "W", "A"])
        _check_finite(block, start)
        expected += len(block)
        yield start, block
    if expected != number_of_queries:
        raise ValueError(f"the blocks hold {expected} queries; expected {number_of_queries}")


def _check_finite(block: Scores, start: int) -> None:
    # A sum with NaN or infinity is not finite: one cheap pass checks a whole block. A sum of finite
    # scores may overflow too, and then the search below finds nothing.
    if torch.from_numpy(block).sum().isfinite():
        return
    bad = np.argwhere(~np.isfinite(block))
    if len(bad):
        row, column = bad[0]
        raise NonFiniteScoreError(start + int(row), int(column), float(block[row, column]))


def _embeddings(embeddings: NDArray[Any], side: str, similarity: str) -> torch.Tensor:
    """Convert to (N, E) float32, checked to be finite; to unit vectors for the cosine."""
    result = torch.from_numpy(np.require(embeddings, np.float32, ["C", "W"]))
    if not result.sum().isfinite():
        bad = torch.argwhere(~result.isfinite())
        if len(bad):
            row, column = bad[0].tolist()
            raise NonFiniteEmbeddingError(side, row, float(result[row, column]))
    if similarity == "cosine":
        result = torch.nn.functional.normalize(result, dim=1, eps=NORM_FLOOR)
    return result


def _check_shape(shape: tuple[int, ...]) -> None:
    if min(shape) < 1:
        raise ValueError(f"{shape[0]} queries and {shape[1]} candidates; expected at least one of each")


def _rows_of(block_bytes: int, number_of_candidates: int, itemsize: int) -> int:
    return max(1, block_bytes // (number_of_candidates * itemsize))
