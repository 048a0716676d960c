"""Hubness: how unevenly tracks are recommended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.metric_utils.checks import Indices


@dataclass(frozen=True)
class Hubness:
    """The distribution of the k-occurrence: how many of all lists hold a track.

    Attributes:
        skewness: third standardised moment of the N k-occurrences; 0: even, far above 0: a few hubs.
        never_recommended: share of the tracks that no list holds, in [0, 1].
        largest: k-occurrence of the largest hub.
        largest_track: its row; the first one of several.
    """

    skewness: float
    never_recommended: float
    largest: int
    largest_track: int


def hubness(neighbours: Indices, number: int) -> Hubness:
    """Count how often each of N tracks is recommended.

    Args:
        neighbours: (Q, K) rows of tracks, -1: none.
        number: N.
    Raises:
        ValueError: no tracks.

    Source: Radovanovic, Nanopoulos and Ivanovic, "Hubs in space", JMLR 2010.
    """
    if number < 1:
        raise ValueError("no tracks: hubness is undefined")
    occurrence = np.bincount(neighbours[neighbours >= 0], minlength=number)
    apart = occurrence - occurrence.mean()
    deviation = float(np.sqrt((apart**2).mean()))
    skewness = float((apart**3).mean() / deviation**3) if deviation else 0.0
    hub = int(occurrence.argmax())
    return Hubness(skewness, float((occurrence == 0).mean()), int(occurrence[hub]), hub)
