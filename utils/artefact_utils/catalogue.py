"""The catalogue of a music data set: title, artist, album and genres of every track that has a clip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import number_in, strict_rows
from utils.artefact_utils.files import check_is_file
from utils.artefact_utils.tables import write_rows
from utils.cli_utils import ArtefactError, short_repr

_SEVERAL = ";"  # between the genres of a track
_NOT_UTF8 = re.compile(r"\\udc([89a-f][0-9a-f])")  # a byte of a file name, as `write_rows` writes it


class Track(NamedTuple):
    """One track; what is not known is empty."""

    fid: str  # of its clip in audio_info.pkl
    track_id: str  # the data set's own id, `Clip.source_id`
    split: str
    path: str  # relative to data.root
    title: str
    artist: str
    album: str
    genre: str  # the top genre
    genres: tuple[str, ...]  # all of them, whatever their rank
    duration_s: float


CATALOGUE_COLUMNS = list(Track._fields)


def write_catalogue(path: Path, tracks: Sequence[Track]) -> None:
    """Write catalogue.csv: a row a track, with `;` between its genres.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    rows = ([*track[:-2], _SEVERAL.join(track.genres), round(track.duration_s, 6)] for track in tracks)
    write_rows(path, CATALOGUE_COLUMNS, rows)


def read_catalogue(path: Path, repair: str, split: str | None = None) -> list[Track]:
    """The tracks, in table order.

    Args:
        path: of the catalogue.
        repair: the command that makes it, for messages.
        split: whose tracks; None: those of all splits.
    Raises:
        ArtefactError: the file is missing, no catalogue, has an id twice, or no track of the split.
    """
    check_is_file(path, f"write it: {repair}")
    (_, columns), *rows = list(strict_rows(path)) or [(1, [])]
    if columns != CATALOGUE_COLUMNS:
        found = ", ".join(columns) or "none"
        raise ArtefactError(
            f"{path}: found the columns {found}, expected {', '.join(CATALOGUE_COLUMNS)}; write it again: {repair}"
        )
    tracks = [_track(cells, f"{path}, line {line}", repair) for line, cells in rows]
    for column in ("fid", "track_id"):
        value, count = max(
            Counter(getattr(track, column) for track in tracks).items(), key=itemgetter(1), default=("", 0)
        )
        if count > 1:
            raise ArtefactError(f"{path}: {column} {short_repr(value)} occurs {count} times; write it again: {repair}")
    if not tracks:
        raise ArtefactError(f"{path}: holds no tracks; write it again: {repair}")
    chosen = [track for track in tracks if split in (None, track.split)]
    if not chosen:
        known = ", ".join(dict.fromkeys(track.split for track in tracks))
        raise ArtefactError(f"{path}: has no tracks of '{split}', only of {known}; write it again: {repair}")
    return chosen


def _track(cells: Sequence[str], where: str, repair: str) -> Track:
    """The track of a row.

    Raises:
        ArtefactError: it is none.
    """
    if len(cells) != len(CATALOGUE_COLUMNS):
        raise ArtefactError(
            f"{where}: found {len(cells)} cells, expected {len(CATALOGUE_COLUMNS)}; write it again: {repair}"
        )
    fid, track_id, name, path, title, artist, album, genre, genres, duration = cells
    duration_s = number_in(duration)
    if duration_s is None or not 0 <= duration_s < float("inf"):
        raise ArtefactError(
            f"{where}: found the duration {short_repr(duration)}, expected seconds; write it again: {repair}"
        )
    several = tuple(filter(None, genres.split(_SEVERAL)))
    path = _NOT_UTF8.sub(lambda byte: chr(int(f"dc{byte[1]}", 16)), path)
    return Track(fid, track_id, name, path, title, artist, album, genre, several, duration_s)
