"""Playlists that music players open: extended M3U in UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.ownership import refuse_foreign
from utils.cli_utils import existing_folder

_HEADER = "#EXTM3U"


class PlaylistEntry(NamedTuple):
    """A sound file of a playlist."""

    path: Path
    title: str  # as a player shows it, such as "artist - title"
    duration_s: float


def write_playlist(path: Path, entries: Sequence[PlaylistEntry]) -> None:
    """Write a playlist, complete or not at all; its paths are absolute, so that it can be moved.

    Raises:
        ForeignFileError: a file that is no playlist is there.
    """
    lines = [_HEADER]
    for entry in entries:
        lines += [f"#EXTINF:{round(entry.duration_s)},{' '.join(entry.title.split())}", str(entry.path.absolute())]
    # a file name may hold bytes that are not UTF-8, which players want as they are
    with replacing(path, is_playlist) as beside:
        beside.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def check_playlist_place(path: Path, option: str) -> None:
    """Make sure that a playlist may be written, before the work of hours.

    Args:
        path: of the playlist.
        option: of the command line, for messages.
    Raises:
        UserError: its folder is missing, or something that is no playlist is there.
    """
    existing_folder(path.absolute().parent, option, "correct it, or make the folder")
    refuse_foreign(path, is_playlist)


def is_playlist(path: Path) -> bool:
    """Return whether a file is an extended M3U playlist."""
    with path.open("rb") as stream:
        return stream.read(len(_HEADER)) == _HEADER.encode()
