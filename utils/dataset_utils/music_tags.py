"""A folder of music without a table: tags inside the files, and the names of folders where a file has none.

A file whose tags name no artist, album and genre is described by its folders: artist/album/file as music players lay
libraries out, or genre/file, as GTZAN and other collections of genres do. Folders that all files share say nothing,
and where the first ones below them are training, test and the like, these are the splits.
"""

from __future__ import annotations

import os
import re
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from utils.cli_utils import UserError
from utils.dataset_utils.file_names import audio_below
from utils.dataset_utils.music import RawMusic, RawTrack, main_artist, several_names, tidy, with_one_spelling
from utils.dataset_utils.music_splits import names_a_split
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
# "07 Title", "07 - Title", "1-07. Title": the place of a track on its album
_PLACE = re.compile(r"(?:\d{1,2}-)?\d{1,3}(?:\s*[-._]\s*|\s+)(?=\S)")
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


class _Places(NamedTuple):
    """How the folders of a collection are read."""

    root: Path
    shared: Path  # the deepest folder that holds all files
    splits: bool  # whether its folders are splits


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
    shared = Path(os.path.commonpath([file.parent for file in files]))
    first = {file.relative_to(shared).parts[0] for file in files}
    places = _Places(root, shared, splits=len(first) > 1 and all(map(names_a_split, first)))
    tracks = list(map(partial(_track, places), files, found, _titles(files)))
    lines = _understood(places, tracks, found)
    if places.splits:
        lines.append(f"splits: after the folders {', '.join(sorted(first))}")
    return RawMusic(with_one_spelling(tracks), [], lines)


def _understood(places: _Places, tracks: Sequence[RawTrack], found: Sequence[_Tags]) -> list[str]:
    root, shared = places.root, places.shared
    tagged = sum(tags.say_something for tags in found)
    lines = [f"{root}: {tagged} of {len(tracks)} files have tags of artist, album or genre"]
    by_folder = [track for track, tags in zip(tracks, found, strict=True) if not tags.say_something]
    if by_folder and shared != root:
        lines.append(f"all files are in {shared}: only the names of folders below it say something of them")
    named = [track for track in by_folder if track.artist]
    of_genre = [track for track in by_folder if track.genre]
    after = "after the names of their folders"
    if named:
        example = f"'{named[0].artist}' and '{named[0].album}'"
        lines.append(f"{len(named)} files without tags: artist and album {after}, such as {example}")
    if of_genre:
        lines.append(f"{len(of_genre)} files without tags: genre {after}, such as '{of_genre[0].genre}'")
    return lines


def _titles(files: Sequence[Path]) -> list[str]:
    """The names of the files, as titles: without the places of tracks where all files of a folder begin with one."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        folders[file.parent].append(file)
    numbered = {
        folder for folder, inside in folders.items() if len(inside) > 1 and all(_PLACE.match(f.stem) for f in inside)
    }
    return [tidy(_PLACE.sub("", file.stem, count=1) if file.parent in numbered else file.stem) for file in files]


def _track(places: _Places, file: Path, tags: _Tags, title: str) -> RawTrack:
    names = file.relative_to(places.shared).parts[:-1]
    split, names = (names[0], names[1:]) if places.splits else ("", names)
    artist, album, genres = tags.artist, tags.album, tags.genres
    if not tags.say_something:
        folders = [tidy(name) for name in names]
        if len(folders) > 1:
            artist, album = folders[-2:]
        elif folders:
            genres = (folders[0],)
    path = file.relative_to(places.root).as_posix()
    return RawTrack(file, path, tags.title or title, artist, album, genres[0] if genres else "", genres, split)


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
    artist = main_artist(texts["artist"])
    return _Tags(tidy(texts["title"]), artist, tidy(texts["album"]), several_names(texts["genre"]))


def _text(tags: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first tag of these names that has a text; several values have `;` between them."""
    for name in names:
        value = tags.get(name)
        # `genres` of ID3: with names in place of numbers such as (17)
        values = getattr(value, "genres", getattr(value, "text", value)) if value is not None else []
        if not isinstance(values, list | tuple):
            values = [values]
        if text := ";".join(filter(None, map(str, values))):
            return text
    return ""
