"""The same recording in two places; where only one of them is in training, results look better than they are."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from utils.artefact_utils import Clip, read_clips_of
from utils.cli_utils import ArtefactError
from utils.cli_utils.repairs import make
from utils.data_utils.spec import AudioDataSpec

_KEY = "data.exclude_duplicates"


class Place(NamedTuple):
    """Where a recording is."""

    split: str
    clip: Clip


def same_recordings(clips: Mapping[str, Sequence[Clip]]) -> list[list[Place]]:
    """The recordings that are in more than one place, each with its places; in table order.

    Args:
        clips: of each split.
    """
    places: dict[str, list[Place]] = defaultdict(list)
    for split, rows in clips.items():
        for clip in rows:
            if clip.sound:
                places[clip.sound].append(Place(split, clip))
    return [found for found in places.values() if len(found) > 1]


def describe(data: AudioDataSpec, groups: Sequence[Sequence[Place]]) -> str:
    """One line on `same_recordings`; empty where there are none.

    Args:
        data: the run's `data:` block.
        groups: the recordings.
    """
    within, across = 0, Counter[tuple[str, str]]()
    example = ""
    for group in groups:
        splits = dict.fromkeys(place.split for place in group)
        within += len(group) > len(splits)
        across.update(itertools.combinations(splits, 2))
        if len(splits) > 1 and not example:
            one, other = (next(place for place in group if place.split == split) for split in list(splits)[:2])
            example = f", such as {one.clip.path!r} and {other.clip.path!r}"
    found = [f"{count} in {one} and {other}" for (one, other), count in across.items()]
    found += [f"{within} more than once within a split"] if within else []
    if not found:
        return ""
    line = f"the same recording in two places: {', '.join(found)}{example}"
    if any(data.splits.train in pair for pair in across):
        line += f"; {_advice(data)}"
    return line


def _advice(data: AudioDataSpec) -> str:
    return "training leaves them out" if data.exclude_duplicates else f"train without them: --set {_KEY}=true"


def duplicates_of_others(data: AudioDataSpec, clips: Sequence[Clip]) -> dict[str, Place]:
    """The clips of the training split that are in the validation or evaluation split too.

    Args:
        data: the run's `data:` block.
        clips: of the training split.
    Returns:
        fid -> where else it is.
    Raises:
        ArtefactError: an earlier version wrote the tables, without digests of the recordings.
    """
    others = [split for split in data.splits.names() if split != data.splits.train]
    held_out = read_clips_of(data.audio_info, others, make("tables")) if others else {}
    if others and not any(clip.sound for rows in [clips, *held_out.values()] for clip in rows):
        raise ArtefactError(
            f"{data.audio_info}: holds no digests of the recordings, which {_KEY} needs; write it again: "
            f"{make('tables')}"
        )
    known = {clip.sound: Place(split, clip) for split, rows in held_out.items() for clip in rows if clip.sound}
    return {clip.fid: known[clip.sound] for clip in clips if clip.sound in known}


def describe_tables(data: AudioDataSpec) -> str:
    """Return `describe` of the run's tables, or that they hold no digests; empty where no recording is shared.

    Raises:
        ArtefactError: they are missing or broken.
    """
    if not data.has_tables:
        return ""
    clips = read_clips_of(data.audio_info, data.splits.names(), make("tables"))
    if not any(clip.sound for rows in clips.values() for clip in rows):
        return f"whether a recording is in two splits is not known: {data.audio_info} holds no digests"
    return describe(data, same_recordings(clips))
