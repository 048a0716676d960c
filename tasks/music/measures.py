"""How well the embeddings of validation tracks recommend, after every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.music.run import RETRIEVAL
from utils.artefact_utils.catalogue import Track
from utils.metric_utils.recommendation.spaces import EmbeddingSpace
from utils.metric_utils.recommendation.system import FilterMeasures, measure_system
from utils.metric_utils.recommendation.tracks import Tracks

# Tracks that are measured, evenly spaced: all pairs are sorted, after every epoch.
_MOST_TRACKS = 2000


def retrieval_metrics(embeddings: NDArray[np.float32], tracks: Sequence[Track]) -> dict[str, float]:
    """Measure recommendations among tracks, without a filter, by cosine of embeddings centred on these tracks.

    Args:
        embeddings: (N, E).
        tracks: N of them; of more than 2000, 2000 that are evenly spaced are measured.
    Returns:
        The metrics of RETRIEVAL, without those of a label that no two tracks share; where all embeddings are equal,
        every order is as good as another, and the metrics are those of chance.
    """
    rows = _measured(len(tracks))
    chosen = embeddings[rows]
    if not np.ptp(chosen, axis=0).any():
        return chance_of(tracks)
    space = EmbeddingSpace.fit(chosen)
    return _named(_without_filter(space(chosen), [tracks[row] for row in rows]).metrics())


def chance_of(tracks: Sequence[Track]) -> dict[str, float]:
    """Compute the same metrics of a random order; without those that cannot be measured."""
    rows = _measured(len(tracks))
    if len(rows) < 2:
        return {}
    equal = np.zeros((len(rows), 1), np.float32)  # chance is in closed form, whatever the embeddings are
    return _named(_without_filter(equal, [tracks[row] for row in rows]).chance())


def _measured(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_TRACKS)).astype(np.int64))


def _without_filter(embeddings: NDArray[np.float32], tracks: Sequence[Track]) -> FilterMeasures:
    known = Tracks.of(
        genre=[track.genre for track in tracks],
        artist=[track.artist for track in tracks],
        album=[track.album for track in tracks],
        title=[track.title for track in tracks],
    )
    return measure_system(embeddings, known).filters["none"]


def _named(metrics: dict[str, float]) -> dict[str, float]:
    return {name: metrics[name] for name in RETRIEVAL if name in metrics}
