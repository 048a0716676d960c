"""The exact best candidates in bounded memory, and how many of them other lists hold."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from utils.criterion_utils import NORM_FLOOR, Similarity
from utils.metric_utils.checks import Indices
from utils.metric_utils.ranking import top_k
from utils.metric_utils.scores import EmbeddingScores

Array = NDArray[np.float32]

NO_ROW = -1  # where a list has fewer rows than it has places
BLOCK_BYTES = 64 * 2**20  # of candidates in memory at a time


def unit_vectors(vectors: Array) -> Array:
    """(N, E) vectors at length 1, as the cosine takes them; a zero vector stays one."""
    return torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1, eps=NORM_FLOOR).numpy()


def top_k_in_blocks(
    queries: Array, candidates: Array, k: int, similarity: Similarity = "dot", block_bytes: int = BLOCK_BYTES
) -> tuple[Indices, Array]:
    """Find the k best candidates of each query, as `ranking.top_k` does, where the candidates fill no memory.

    Args:
        queries: (Q, E) float32.
        candidates: (C, E) float32, such as an array that is mapped from disk.
        k: number of candidates to return for each query, 1 or more.
        similarity: as of `EmbeddingScores`.
        block_bytes: of candidates at a time.
    Returns:
        (Q, min(k, C)) int64 indices and their scores, best first; of equal scores the smaller index comes first.
    Raises:
        NonFiniteEmbeddingError: an embedding holds NaN or an infinite number.
    """
    index = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    rows = max(1, block_bytes // (4 * candidates.shape[1]))
    for start in range(0, len(candidates), rows):
        block = np.array(candidates[start : start + rows], np.float32)  # a mapped array may be read-only
        found, values = top_k(EmbeddingScores(queries, block, similarity=similarity), k)
        index, scores = _best(np.hstack([index, found + start]), np.hstack([scores, values]), k)
    return index, scores


def rescored(
    queries: Array, rows: Indices, candidates: Array, k: int, similarity: Similarity = "dot"
) -> tuple[Indices, Array]:
    """Order candidates that an approximate search has found by their exact scores.

    Every score is summed in the same order, so that equal candidates have equal scores, which matrix products do not
    grant.

    Args:
        queries: (Q, E) float32.
        rows: (Q, R) int64 rows of the candidates, R >= k; NO_ROW where fewer were found.
        candidates: (C, E) float32, such as an array that is mapped from disk; only these rows are read.
        k: number of candidates to return for each query.
        similarity: as of `EmbeddingScores`.
    Returns:
        (Q, k) int64 indices and their scores, best first; of equal scores the smaller index comes first. NO_ROW and
        minus infinity where fewer were found.
    """
    step = max(1, BLOCK_BYTES // (4 * candidates.shape[1] * rows.shape[1]))
    index = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    wanted = unit_vectors(queries) if similarity == "cosine" else queries
    for start in range(0, len(queries), step):
        some = rows[start : start + step]
        vectors = np.asarray(candidates[np.maximum(some, 0)], np.float32)  # (q, R, E)
        if similarity == "cosine":
            vectors = unit_vectors(vectors.reshape(-1, vectors.shape[-1])).reshape(vectors.shape)
        values = np.einsum("qre,qe->qr", vectors, wanted[start : start + step])
        values[some == NO_ROW] = -np.inf
        index[start : start + step], scores[start : start + step] = _best(some, values, k)
    return index, scores


def recall_of_lists(found: Indices, exact: Indices) -> float:
    """Return the share of the exact best candidates that the found lists hold; 1 is all of them.

    Args:
        found: (Q, k) rows that an approximate search has found.
        exact: (Q, k) those of an exact one.
    """
    return float(np.mean((exact[:, :, None] == found[:, None, :]).any(axis=2)))


def _best(index: Indices, scores: Array, k: int) -> tuple[Indices, Array]:
    order = np.lexsort((index, -scores), axis=1)[:, :k]
    return np.take_along_axis(index, order, axis=1), np.take_along_axis(scores, order, axis=1)
