"""The 10 nearest of 8 000 tracks, for each of them, by another artist: `python -m benchmarks.bench_recommend`.

The reference has the whole matrix in memory and sorts every row, with the same order of equal scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Result, alternate, report, seconds
from utils.metric_utils.recommendation.neighbours import nearest_tracks
from utils.metric_utils.recommendation.similarity import track_scores
from utils.metric_utils.recommendation.tracks import Exclusions

TRACKS = 8_000
EMBEDDING_DIM = 128
TRACKS_OF_AN_ARTIST = 4
NEIGHBOURS = 10


def random_tracks(number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (N, E) embeddings, and the (N,) artist of each."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((number, EMBEDDING_DIM), dtype=np.float32)
    return embeddings, rng.integers(0, number // TRACKS_OF_AN_ARTIST, number)


def measure() -> Result:
    """Measure the seconds from embeddings to lists."""
    embeddings, artist = random_tracks(TRACKS)

    def ours() -> NDArray[np.int64]:
        return nearest_tracks(track_scores(embeddings), NEIGHBOURS, Exclusions(TRACKS, artist)).rows

    def reference() -> NDArray[np.int64]:
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        scores = unit @ unit.T
        scores[artist[:, None] == artist] = -np.inf
        return np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]

    found = alternate({"ours": seconds(ours), "reference": seconds(reference)}, repeats=3)
    equal = (ours() == reference()).all(axis=1).mean()  # the products round differently
    return Result(
        name=f"top {NEIGHBOURS} of {TRACKS} x {TRACKS}, artist filter",
        reference=found["reference"],
        ours=found["ours"],
        unit="s",
        minimum_ratio=4,
        limit=1,
        note=f"reference: numpy, whole matrix, every row sorted; {equal:.2%} of the lists are equal",
    )


if __name__ == "__main__":
    report(measure)
