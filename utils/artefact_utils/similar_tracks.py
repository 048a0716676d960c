"""Recordings that are nearly the same: similar_tracks.csv, two rows a pair."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from pathlib import Path

from utils.artefact_utils.csv_rows import strict_rows
from utils.artefact_utils.files import check_is_file
from utils.cli_utils import ArtefactError

_COLUMNS = ["pair", "split", "path", "fid"]


def read_similar_tracks(path: Path, repair: str) -> list[tuple[str, str]]:
    """The pairs, as ids of the two tracks.

    Args:
        path: of the table.
        repair: the command that makes it, for messages.
    Raises:
        ArtefactError: the file is missing or no such table.
    """
    check_is_file(path, f"write it: {repair}")
    (_, columns), *rows = list(strict_rows(path)) or [(1, [])]
    if columns != _COLUMNS or any(len(cells) != len(_COLUMNS) for _, cells in rows):
        found = ", ".join(columns) or "none"
        raise ArtefactError(
            f"{path}: found the columns {found}, expected {', '.join(_COLUMNS)} in every row; write it again: {repair}"
        )
    members: dict[str, list[str]] = defaultdict(list)
    for _, (pair, _, _, fid) in rows:
        members[pair].append(fid)
    return [both for fids in members.values() for both in combinations(fids, 2)]
