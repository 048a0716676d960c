"""Which clips or pictures of existing tables need not be decoded again: their files are as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from utils.artefact_utils import Clip, UnreadableError, load_pickle, read_clips
from utils.cli_utils import ArtefactError


def notes_of(root: Path, decoding: int, clips: Iterable[Clip], file_of: Callable[[str], Path]) -> dict[str, Any]:
    """Note how the files of clips are now, for `unchanged_clips` of a later run.

    Args:
        root: data.root.
        decoding: version of the decoding; with another one, every file is decoded again.
        clips: of all splits.
        file_of: a clip's path -> its file.
    """
    return {"root": str(root), "decoding": decoding, "stat": {clip.path: _stat(file_of(clip.path)) for clip in clips}}


def unchanged_clips(
    info: Path, split: str, root: Path, decoding: int, file_of: Callable[[str], Path]
) -> dict[str, Clip]:
    """Return the clips of an existing table whose size and modification time are as noted, by path.

    Args:
        info: audio_info.pkl or image_info.pkl; it need not be there.
        split: whose clips.
        root: as of `notes_of`, like the other arguments.
        decoding: see there.
        file_of: see there.
    """
    try:
        clips = read_clips(info, split, "")
        notes = load_pickle(info, "")[1]
    except UnreadableError:  # not ignored as a broken file is: this run would replace a file that is only locked
        raise
    except ArtefactError:
        return {}
    if notes.get("root") != str(root) or notes.get("decoding") != decoding:
        return {}
    stats = notes.get("stat", {})
    return {clip.path: clip for clip in clips if clip.path in stats and stats[clip.path] == _stat(file_of(clip.path))}


def _stat(path: Path) -> tuple[int, int]:
    if not path.is_file():
        return (-1, -1)
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns)
