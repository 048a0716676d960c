"""The metrics of recommendations by their definitions, one query at a time, and random tracks."""

from __future__ import annotations

import math

import numpy as np

from utils.metric_utils.recommendation.tracks import FILTERS, Tracks


def random_tracks(rng, number, genres=4, artists=12):
    """Tracks with unknown genres, artists and albums, titles in several versions, and near-duplicates."""

    def names(word, choices, unknown=0.1):
        return [word + str(i) if u > unknown else "" for i, u in zip(choices, rng.random(number), strict=True)]

    artist = rng.integers(0, artists, number)
    notes = rng.choice(["", " (Live)", " - 2011 Remaster"], number)
    return Tracks.of(
        genre=names("genre", rng.integers(0, genres, number)),
        artist=names("artist", artist),
        album=names("album", rng.integers(0, 2, number)),
        title=[title + note for title, note in zip(names("title", rng.integers(0, 3, number)), notes, strict=True)],
        similar=rng.integers(0, number, (number // 8, 2)),
    )


def excluded(tracks, name, query, candidate):
    if query == candidate:
        return True
    code = {"artist": tracks.artist, "album": tracks.album, "version": tracks.version}.get(name)
    if code is not None and code[query] >= 0 and code[query] == code[candidate]:
        return True
    pairs = {tuple(pair) for pair in tracks.similar.tolist()}
    return name == "version" and bool(pairs & {(query, candidate), (candidate, query)})


def order_by_definition(scores, tracks, name, query):
    """All candidates of a query, best first, ties by row."""
    allowed = [c for c in range(len(tracks)) if not excluded(tracks, name, query, c)]
    return sorted(allowed, key=lambda c: (-scores[query][c], c))


def measures_by_definition(scores, tracks):
    """filter -> metric -> {query: value}."""
    found = {}
    for name in FILTERS:
        found[name] = {}
        for query in range(len(tracks)):
            order = order_by_definition(scores, tracks, name, query)
            for label, code in (("genre", tracks.genre), ("artist", tracks.artist)):
                flags = [bool(code[query] >= 0 and code[c] == code[query]) for c in order]
                if any(flags):
                    for key, value in metrics_of_flags(flags).items():
                        found[name].setdefault(f"{label}_{key}", {})[query] = value
    return found


def metrics_of_flags(flags):
    values = {f"precision@{k}": sum(flags[:k]) / k for k in (1, 5, 10)}
    values["mAP"] = sum(sum(flags[: i + 1]) / (i + 1) for i, flag in enumerate(flags) if flag) / sum(flags)
    gains = [flag / math.log2(i + 2) for i, flag in enumerate(flags)]
    ideal = [1 / math.log2(i + 2) for i in range(sum(flags))]
    values["nDCG@10"] = sum(gains[:10]) / sum(ideal[:10])
    return values


def cosines(embeddings):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    return unit @ unit.T
