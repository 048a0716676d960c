"""A control without labels: an altered copy of a track, as softer or mp3-coded, should find its original first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from utils.metric_utils.checks import Indices, Values
from utils.metric_utils.ranking import ranks_of_relevant
from utils.metric_utils.recommendation.similarity import Rescaling, track_scores


def found_originals(
    copies: NDArray[Any], originals: NDArray[Any], rescaling: Rescaling = "none", own: Indices | None = None
) -> Values:
    """Tell of each altered copy whether the nearest of all originals is its own.

    Args:
        copies: (n, E) embeddings of the copies, from the `EmbeddingSpace` of the originals.
        originals: (N, E).
        rescaling: as of `track_scores`.
        own: (n,) rows of the copies' originals; None: row i is the original of copy i, and n = N.
    Returns:
        (n,) float64, 1.0 where it is, else 0.0; the mean is the share, higher is better, and 1 / N is chance: of equal
        scores the smaller row comes first, so that one original at most is found if all embeddings are equal.
    Raises:
        ValueError: copies without an original, or a row outside [0, N).
    """
    if len(copies) != (len(originals) if own is None else len(own)):
        found = f"{len(copies)} copies of {len(originals if own is None else own)} originals"
        raise ValueError(f"{found}; expected one original of each copy")
    rows = np.arange(len(copies)) if own is None else own
    ranks = ranks_of_relevant(track_scores(originals, copies, rescaling), np.arange(len(copies)), rows)
    return (ranks == 1).astype(np.float64)
