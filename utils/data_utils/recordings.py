"""What a clip or picture is, whatever split it is in and whatever table names it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from utils.artefact_utils import Clip


def recordings_of(clips: Iterable[Clip]) -> dict[str, str]:
    """Identify clips or pictures, so that they are known again when tables are written anew with other splits.

    Neither a fid, which is made from the split, nor a digest of the file, which changes with its tags, would do.

    Args:
        clips: of a split.
    Returns:
        16 hexadecimal digits -> file name; clips that are the same recording are one.
    """
    return {_identity(clip): clip.fname for clip in clips}


def _identity(clip: Clip) -> str:
    # The mark of a picture is a rough one, and silence has none: only with their paths do they say which file it is.
    is_known = bool(clip.sound and clip.duration_s)
    parts = [clip.sound] if is_known else [clip.sound, clip.path, repr(clip.duration_s)]
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
