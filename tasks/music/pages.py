"""<split>_recommendations.html: lists to listen to, tables and pictures; <split>_lists.html: the lists alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.music.lists import Comparison, Listed, Recommender, track_title
from tasks.music.results import RecommendationResults
from tasks.music.tables import result_tables
from utils.artefact_utils import Track
from utils.report_utils import Content, Note, Page, Paragraph, Table
from utils.report_utils.maps import LEAST_POINTS, MapPanel, map_points, plot_maps
from utils.report_utils.music_pages import PlayedList, PlayedQuery, PlayedTrack, recommendation_page

Array = NDArray[np.float32]

_MOST_POINTS = 2000  # of a map; t-SNE of as many takes about 10 s
_METRIC_NOTE = (
    "Higher is better. Every track is a query among all others; a filter leaves out tracks of the query's artist, of "
    "its album, or other versions of the same piece. hubs: skewness of how often tracks are recommended (0: evenly); "
    "never: share of the tracks that no list of ten holds. 'random' and 'mean' (an autoencoder that predicts the mean, "
    "which embeds all tracks alike) know nothing."
)


def listening_page(
    title: str,
    recommender: Recommender,
    found: Sequence[Comparison],
    results: RecommendationResults | None = None,
    pictures: Mapping[str, Path] | None = None,
) -> Page:
    """Build the page.

    Args:
        title: of the page.
        recommender: which has made the lists.
        found: a comparison a query.
        results: their tables; None: nothing was measured.
        pictures: caption -> PNG.
    """
    metrics: list[Content] = []
    if results is not None:
        metrics.append(Note(_METRIC_NOTE))
        for table in result_tables(results):
            metrics += [Paragraph([table.title]), Table(table.columns, table.rows)]
    subtitle = f"{' and '.join(recommender.embeddings)}, {len(recommender.tracks)} tracks, {recommender.settings}"
    subtitle += "" if recommender.filter == "none" else f", {recommender.filter} filter"
    queries = [_played(comparison, recommender) for comparison in found]
    return recommendation_page(title, subtitle, queries, metrics, pictures)


def write_map(path: Path, tracks: Sequence[Track], embeddings: Mapping[str, Array]) -> Path | None:
    """Write a map of each system's embeddings, coloured by genre; of many tracks, evenly spaced ones.

    Args:
        path: the PNG.
        tracks: N of them.
        embeddings: system -> (N, E).
    Returns:
        The path; None: there are too few tracks for a map.
    """
    rows = np.unique(np.linspace(0, len(tracks) - 1, min(len(tracks), _MOST_POINTS)).astype(np.int64))
    if len(rows) < LEAST_POINTS:
        return None
    panels = [MapPanel(name, map_points(vectors[rows])) for name, vectors in embeddings.items()]
    plot_maps(path, f"{len(rows)} of {len(tracks)} tracks by t-SNE", panels, [tracks[row].genre for row in rows])
    return path


def _played(found: Comparison, recommender: Recommender) -> PlayedQuery:
    lists = {
        name: PlayedList(
            found.counted(name),
            [_track(rank, item, recommender.root, len(found.queries) > 1) for rank, item in enumerate(items, 1)],
        )
        for name, items in found.lists.items()
    }
    line = " + ".join(map(_described, found.queries)) or "a file that is not of the split"
    return PlayedQuery(found.title, line, found.files, lists)


def _track(rank: int, item: Listed, root: Path, fused: bool) -> PlayedTrack:
    track = item.track
    score = f"{item.score:.4f} points" if fused else f"{item.score:.3f}"
    line = f"{score} · {_described(track)}{' · same artist' if item.same_artist else ''}"
    return PlayedTrack(f"{rank}. {track_title(track)}", line, root / track.path, item.same_genre or item.same_artist)


def _described(track: Track) -> str:
    """Genre, album and id; an unknown genre is said, since an album would be read as one."""
    album = f"album {track.album}" if track.album else ""
    return " · ".join(filter(None, (track.genre or "genre unknown", album, f"track {track.track_id}")))
