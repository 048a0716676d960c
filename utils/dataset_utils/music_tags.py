"""A folder of music without a table: tags inside the files, and the names of folders where a file has none.

A file whose tags name no artist, album and genre is described by its folders: artist/album/file as music players lay
libraries out, or genre/file, as GTZAN and other collections of genres do.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from utils.cli_utils import UserError
from utils.dataset_utils.file_names import audio_below
from utils.dataset_utils.music import RawMusic, RawTrack, several_genres, tidy, with_one_spelling
from utils.process_utils import ordered_map

# What a tag is called in Vorbis comments, ID3 (of WAV and AIFF), MP4, APE and ASF; case does not count.
_NAMES = {
    "title": ("title", "tit2", "\xa9nam"),
    "artist": ("artist", "tpe1", "\xa9art", "author", "albumartist", "album artist", "tpe2", "aart", "wm/albumartist"),
    "album": ("album", "talb", "\xa9alb", "wm/albumtitle"),
    "genre": ("genre", "tcon", "\xa9gen", "wm/genre"),
}
# mutagen does not turn all that its parsers run into in a damaged file into its own error
_OF_DAMAGED_FILES = (ValueError, LookupError, ArithmeticError, struct.error)
_IN_THIS_PROCESS = 64  # files that are read before a pool of processes would have started


class _Tags(NamedTuple):
    """What the tags of a file say; what they do not is empty."""

    title: str
    artist: str
    album: str
    genres: tuple[str, ...]

    @property
    def say_something(self) -> bool:
        """Whether they say more than a title."""
        return bool(self.artist or self.album or self.genres)


def read_tagged(root: Path, workers: int) -> RawMusic:
    """Find the audio files below a folder and what their tags, or else their folders, say.

    Args:
        root: the folder.
        workers: processes.
    Raises:
        UserError: no audio below the folder.
    """
    files = audio_below(root)
    if not files:
        raise UserError(f"{root}: no audio files in this folder or below it; name the folder of the music: data.root")
    found = list(ordered_map(_tags, files, 1 if len(files) < _IN_THIS_PROCESS else workers))
    tagged = sum(tags.say_something for tags in found)
    tracks = list(map(partial(_track, root), files, found))
    lines = [f"{root}: {tagged} of {len(files)} files have tags of artist, album or genre"]
    by_folder = [(track, tags) for track, tags in zip(tracks, found, strict=True) if not tags.say_something]
    for what, count in {
        "artist and album": sum(bool(track.artist) for track, _ in by_folder),
        "genre": sum(bool(track.genre) for track, _ in by_folder),
    }.items():
        if count:
            lines.append(f"{count} files without tags: {what} after the names of their folders")
    return RawMusic(with_one_spelling(tracks), [], lines)


def _track(root: Path, file: Path, tags: _Tags) -> RawTrack:
    path = file.relative_to(root)
    artist, album, genres = tags.artist, tags.album, tags.genres
    if not tags.say_something:
        folders = [tidy(name) for name in path.parts[:-1]]
        if len(folders) > 1:
            artist, album = folders[-2:]
        elif folders:
            genres = (folders[0],)
    title = tags.title or tidy(file.stem)
    return RawTrack(file, path.as_posix(), title, artist, album, genres[0] if genres else "", genres)


def _tags(file: Path) -> _Tags:
    """The tags of a file; none where they cannot be read, since decoding decides whether a file is broken."""
    import mutagen

    try:
        found: Any = mutagen.File(file, easy=True)
    except (mutagen.MutagenError, OSError, *_OF_DAMAGED_FILES):
        found = None
    tags = getattr(found, "tags", None)
    there = {str(name).casefold(): value for name, value in tags.items()} if tags else {}
    texts = {meaning: _text(there, names) for meaning, names in _NAMES.items()}
    return _Tags(tidy(texts["title"]), tidy(texts["artist"]), tidy(texts["album"]), several_genres(texts["genre"]))


def _text(tags: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first tag of these names that has a text; several values have `;` between them."""
    for name in names:
        value = tags.get(name)
        values = getattr(value, "text", value) if value is not None else []
        if not isinstance(values, list | tuple):
            values = [values]
        if text := ";".join(filter(None, map(str, values))):
            return text
    return ""
