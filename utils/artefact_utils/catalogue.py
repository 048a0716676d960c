"""The catalogue of a music data set: title, artist, album and genres of every track that has a clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import file_name_in, number_in, own_rows
from utils.artefact_utils.tables import write_rows
from utils.cli_utils import ArtefactError, short_repr

_SEVERAL = ";"  # between the genres of a track


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
    rows = own_rows(path, CATALOGUE_COLUMNS, repair)
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
    fid, track_id, name, path, title, artist, album, genre, genres, duration = cells
    duration_s = number_in(duration)
    if duration_s is None or not 0 <= duration_s < float("inf"):
        raise ArtefactError(
            f"{where}: found the duration {short_repr(duration)}, expected seconds; write it again: {repair}"
        )
    several = tuple(filter(None, genres.split(_SEVERAL)))
    return Track(fid, track_id, name, file_name_in(path), title, artist, album, genre, several, duration_s)
