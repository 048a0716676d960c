"""Embeddings as a trained encoder gives them, made from nothing: clusters of few dimensions in many, with noise.

Queries are drawn from the same clusters, none of them is a clip, and all are moved by one offset: texts lie beside
sounds in a space that both share.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

CLUSTERS = 5_000
INNER_DIM = 32
SPREAD = 0.5  # of a cluster, where the distance of its centre from the middle is 1
NOISE = 0.3  # in all dimensions
OFFSET = 0.2
_BLOCK = 100_000


def draw(number: int, width: int, seed: int, offset: float = 0.0) -> Array:
    """Draw (N, E) float32 unit vectors; the clusters are the same for every seed."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = fixed.standard_normal((CLUSTERS, INNER_DIM), dtype=np.float32)
    matrix = fixed.standard_normal((INNER_DIM, width), dtype=np.float32) / np.float32(INNER_DIM**0.5)
    direction = fixed.standard_normal(width, dtype=np.float32)
    points = centres[rng.integers(0, CLUSTERS, number)]
    points += np.float32(SPREAD) * rng.standard_normal((number, INNER_DIM), dtype=np.float32)
    vectors: Array = points @ matrix + np.float32(NOISE) * rng.standard_normal((number, width), dtype=np.float32)
    vectors += np.float32(offset) * direction
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def on_disk(path: Path, number: int, width: int) -> Array:
    """Map (N, E) embeddings, of the file or drawn into it, some at a time."""
    if not path.exists():
        beside = path.with_suffix(".partial")
        table = np.lib.format.open_memmap(beside, "w+", np.float32, (number, width))
        for start in range(0, number, _BLOCK):
            table[start : start + _BLOCK] = draw(min(_BLOCK, number - start), width, 1 + start)
        table.flush()
        beside.rename(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def draw_queries(number: int, width: int) -> Array:
    """Draw (Q, E) queries."""
    return draw(number, width, 0, OFFSET)
