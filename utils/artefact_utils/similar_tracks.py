"""Recordings that are nearly the same: similar_tracks.csv, two rows a pair."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from pathlib import Path

from utils.artefact_utils.csv_rows import own_rows

_COLUMNS = ["pair", "split", "path", "fid"]


def read_similar_tracks(path: Path, repair: str) -> list[tuple[str, str]]:
    """The pairs, as ids of the two tracks.

    Args:
        path: of the table.
        repair: the command that makes it, for messages.
    Raises:
        ArtefactError: the file is missing or no such table.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for _, (pair, _, _, fid) in own_rows(path, _COLUMNS, repair):
        members[pair].append(fid)
    return [both for fids in members.values() for both in combinations(fids, 2)]
