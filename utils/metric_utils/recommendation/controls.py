"""A control without labels: an altered copy of a track, as softer or mp3-coded, should find its original first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Values
from utils.metric_utils.ranking import ranks_of_relevant
from utils.metric_utils.recommendation.similarity import Rescaling, track_scores


def found_originals(copies: NDArray[Any], originals: NDArray[Any], rescaling: Rescaling = "none") -> Values:
    """Tell of each altered copy whether the nearest of all originals is its own.

    Args:
        copies: (N, E) embeddings of the copies, from the `EmbeddingSpace` of the originals.
        originals: (N, E), row i is the original of copy i.
        rescaling: as of `track_scores`.
    Returns:
        (N,) float64, 1.0 where it is, else 0.0; the mean is the share, higher is better, and 1 / N is chance: of equal
        scores the smaller row comes first, so that embeddings that are all equal are at chance.
    Raises:
        ValueError: other shapes.
    """
    if copies.shape != originals.shape:
        raise ValueError(f"copies are {copies.shape}, originals are {originals.shape}; expected one copy of each")
    own = np.arange(len(copies))
    return (ranks_of_relevant(track_scores(originals, copies, rescaling), own, own) == 1).astype(np.float64)
