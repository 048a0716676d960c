"""Match captions that a system has written with the clips of a split, and with what people say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from utils.artefact_utils import Caption, CaptionRow, Clip
from utils.cli_utils import ArtefactError, printable

# How files name a clip, from the strictest way to the loosest.
_NAMINGS: Mapping[str, Callable[[Clip], str]] = {
    "fid": lambda clip: clip.fid,
    "path": lambda clip: clip.path,
    "file name": lambda clip: clip.fname,
    "file name without extension": lambda clip: str(PurePosixPath(clip.fname).with_suffix("")),
    "id of the data set": lambda clip: clip.source_id,
}


class MatchedCaptions(NamedTuple):
    """The captions of a file, each with its clip and references.

    Attributes:
        rows: as in the file; every one with references, its id the clip's fid where the clip is known.
        clips: fid -> clip, of the rows whose clip is known.
        missing: clips of the split that the file has no row for.
    """

    rows: list[CaptionRow]
    clips: dict[str, Clip]
    missing: list[Clip]


def match_captions(
    path: Path, rows: Sequence[CaptionRow], clips: Sequence[Clip], captions: Sequence[Caption], *, own: bool = False
) -> MatchedCaptions:
    """Match the rows of a file with the clips of a split; rows without references take the split's captions.

    How the file names clips is decided once for all rows, by what most of them need: decided row by row, a clip that
    is not in the split could be taken for another one.

    Args:
        path: of the file, for messages.
        rows: its content.
        clips: of the split.
        captions: of the split; those without text are left out.
        own: whether the file is of this system, which writes clips of the split alone: ids of others are then refused
            also where the file has their references.

    Raises:
        ArtefactError: a row without references names no clip of the split (`own`: any row), two rows name one clip,
            only some rows have references, or a reference has no letter or digit.
    """
    without = [row for row in rows if not row.references]
    if without and len(without) < len(rows):
        raise ArtefactError(
            f"{path}: '{without[0].id}' has no references, {len(rows) - len(without)} other clips have; add them, or "
            "leave the references of all clips out: those of the split are then taken"
        )
    fids = _fids_of(path, [row.id for row in rows], clips, needs_all=own or bool(without))
    references = _references(captions) if without else {}
    matched = [
        CaptionRow(fids.get(row.id, row.id), row.references or references.get(fids[row.id], []), row.hypothesis)
        for row in rows
    ]
    for row in matched:
        _check_references(path, row)
    by_fid = {clip.fid: clip for clip in clips}
    named = set(fids.values())
    return MatchedCaptions(
        matched,
        {row.id: by_fid[row.id] for row in matched if row.id in by_fid},
        [clip for clip in clips if clip.fid not in named],
    )


def one_line(caption: Caption) -> str:
    """What people wrote, on one line and without outer blanks."""
    return " ".join(caption.raw_text.split())


def _fids_of(path: Path, names: Sequence[str], clips: Sequence[Clip], *, needs_all: bool) -> dict[str, str]:
    """Name in the file -> fid, by the naming that knows most of the names.

    Raises:
        ArtefactError: `needs_all`, and a name means no clip, or several; or two names mean one clip.
    """
    lookups = {how: _by_name(clips, name_of) for how, name_of in _NAMINGS.items()}
    how = max(lookups, key=lambda naming: sum(name in lookups[naming] for name in names))
    found = {name: lookups[how].get(name, []) for name in names}
    unknown = [name for name, fids in found.items() if not fids]
    if unknown and needs_all:
        known = f"such as '{printable(_NAMINGS[how](clips[0]))}'"
        raise ArtefactError(
            f"{path}: {len(unknown)} of {len(names)} ids are no clip of the split, the first is "
            f"'{printable(unknown[0])}'; the split has {len(clips)} clips, {known}; name its split with --split, or "
            "add the references to the file"
        )
    several = next((name for name, fids in found.items() if len(fids) > 1), None)
    if several is not None and needs_all:
        raise ArtefactError(
            f"{path}: '{printable(several)}' is the {how} of {len(found[several])} clips; name them by their paths"
        )
    fids = {name: fids[0] for name, fids in found.items() if len(fids) == 1}
    twice = next((fid for fid, count in Counter(fids.values()).items() if count > 1), None)
    if twice is not None:
        two = [name for name, fid in fids.items() if fid == twice][:2]
        raise ArtefactError(f"{path}: '{printable(two[0])}' and '{printable(two[1])}' are one clip; keep one")
    return fids


def _by_name(clips: Sequence[Clip], name_of: Callable[[Clip], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for clip in clips:
        found.setdefault(name_of(clip), []).append(clip.fid)
    return found


def _references(captions: Sequence[Caption]) -> dict[str, list[str]]:
    """Fid -> its captions that have text."""
    found: dict[str, list[str]] = {}
    for caption in captions:
        if text := one_line(caption):
            found.setdefault(caption.fid, []).append(text)
    return found


def _check_references(path: Path, row: CaptionRow) -> None:
    if not row.references:
        raise ArtefactError(f"{path}: the split has no caption of clip '{printable(row.id)}'; leave its row out")
    empty = next((text for text in row.references if not any(map(str.isalnum, text))), None)
    if empty is not None:
        raise ArtefactError(
            f"{path}: clip '{printable(row.id)}' has the reference '{printable(empty)}', which has no word; remove it"
        )


def describe_some(names: Sequence[str], rows: Sequence[CaptionRow], count: int = 3) -> list[str]:
    """Say of a few clips what a system says of them, and what people say.

    Args:
        names: of the clips.
        rows: their captions, in the same order.
        count: lines at most; the clips are evenly spaced.
    """
    places = sorted({number * (len(rows) - 1) // max(1, count - 1) for number in range(count)})
    return [
        printable(f"{names[place]}: '{rows[place].hypothesis}'; people: '{rows[place].references[0]}'")
        for place in places
    ]
