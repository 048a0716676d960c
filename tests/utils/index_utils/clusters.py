"""Vectors with neighbours, as embeddings have them."""

import numpy as np


def clustered(number, width, seed, norm=True):
    """(N, width) float32 around 50 centres of 8 dimensions, unit vectors or of lengths from 0.5 to 2."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres, spread = fixed.standard_normal((50, 8)), fixed.standard_normal((8, width))
    points = centres[rng.integers(0, 50, number)] + 0.3 * rng.standard_normal((number, 8))
    vectors = points @ spread + 0.1 * rng.standard_normal((number, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors if norm else vectors * rng.uniform(0.5, 2, (number, 1))).astype(np.float32)
