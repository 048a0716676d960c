"""Match captions that a system has written with the clips of a split, and with what people say of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from utils.artefact_utils import Caption, CaptionRow, Clip
from utils.artefact_utils.captions import CaptionFile
from utils.cli_utils import ArtefactError, printable

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")  # of a file, not the '.000' of a time
_NUMBER = re.compile(r"(?:COCO_\w+_)?0*(\d+)")  # COCO's files are 000000229997.jpg, its results say 229997
# clips of AudioCaps as they are passed on: <id>.wav, Y<id>.wav, <id>_30.wav, <id>_30.000_40.000.wav
_YOUTUBE = re.compile(r"Y?([\w-]{11})(?:_\d+(?:\.\d+)?){0,2}")


class Naming(NamedTuple):
    """One way in which files name clips.

    Attributes:
        how: in words.
        fids: name -> the clips that have it.
        spelled: a name as a file has it -> as `fids` has it; None: it is no name of this kind.
    """

    how: str
    fids: Mapping[str, Sequence[str]]
    spelled: Callable[[str], str | None]

    def find(self, name: str) -> Sequence[str]:
        """The fids of the clips that a name in a file means."""
        spelled = self.spelled(name)
        return () if spelled is None else self.fids.get(spelled, ())


def namings_of(clips: Sequence[Clip], captions: Sequence[Caption]) -> list[Naming]:
    """How files name the clips of a split, from the strictest way to the loosest."""

    def by(how: str, name_of: Callable[[Clip], str | None], spelled: Callable[[str], str | None] = _same) -> Naming:
        return Naming(how, _gathered((name_of(clip), clip.fid) for clip in clips), spelled)

    return [
        by("fid", lambda clip: clip.fid),
        by("path", lambda clip: clip.path),
        by("file name", lambda clip: clip.fname),
        by("file name without extension", lambda clip: str(PurePosixPath(clip.fname).with_suffix(""))),
        by("id of the data set", lambda clip: clip.source_id),
        Naming("id of a caption", _gathered((c.source_id, c.fid) for c in captions), _same),
        by("number", lambda clip: _part(_NUMBER, clip.fname), lambda name: _part(_NUMBER, name)),
        by(
            "YouTube id",
            lambda clip: _part(_YOUTUBE, clip.source_id) or _part(_YOUTUBE, clip.fname),
            lambda name: _part(_YOUTUBE, name),
        ),
    ]


def rate_names(namings: Sequence[Naming]) -> Callable[[Sequence[str]], tuple[int, ...]]:
    """How well values name clips: how many do, and the stricter the better."""

    def rate(names: Sequence[str]) -> tuple[int, ...]:
        return max(
            (sum(len(naming.find(name)) == 1 for name in names), -number) for number, naming in enumerate(namings)
        )

    return rate


def _same(name: str) -> str:
    return name


def _part(pattern: re.Pattern[str], name: str) -> str | None:
    found = pattern.fullmatch(_SUFFIX.sub("", PurePosixPath(name).name))
    return None if found is None else found[1]


def _gathered(pairs: Iterable[tuple[str | None, str]]) -> dict[str, list[str]]:
    """Name -> fids, each once."""
    found: dict[str, list[str]] = {}
    for name, fid in pairs:
        if name and fid not in found.setdefault(name, []):
            found[name].append(fid)
    return found


class MatchedCaptions(NamedTuple):
    """The captions of a file, each with its clip and references.

    Attributes:
        rows: as in the file; every one with references, its id the clip's fid where the clip is known.
        clips: fid -> clip, of the rows whose clip is known.
        missing: clips of the split that the file has no row for.
        unmeasured: their references, of those that have any; none where no row is of a clip of the split.
    """

    rows: list[CaptionRow]
    clips: dict[str, Clip]
    missing: list[Clip]
    unmeasured: list[list[str]]

    @property
    def corpus(self) -> list[list[str]]:
        """The references of each clip of the split, whatever part the file has: metrics weigh their words by it."""
        return [*(row.references for row in self.rows), *self.unmeasured]


def match_captions(
    path: Path,
    file: CaptionFile,
    clips: Sequence[Clip],
    captions: Sequence[Caption],
    namings: Sequence[Naming],
    *,
    own: bool = False,
) -> MatchedCaptions:
    """Match the rows of a file with the clips of a split; rows without references take the split's captions.

    How the file names clips is decided once for all rows, by what most of them need: decided row by row, a clip that
    is not in the split could be taken for another one.

    Args:
        path: of the file, for messages.
        file: its content.
        clips: of the split.
        captions: of the split; those without text are left out.
        namings: of `namings_of`.
        own: whether the file is of this system, which writes clips of the split alone: ids of others are then refused
            also where the file has their references.

    Raises:
        ArtefactError: a row without references names no clip of the split (`own`: any row), two rows name one clip,
            only some rows have references, or a reference has no letter or digit.
    """
    rows = file.rows
    without = [row for row in rows if not row.references]
    if without and len(without) < len(rows):
        raise ArtefactError(
            f"{path}: '{without[0].id}' has no references, {len(rows) - len(without)} other clips have; add them, or "
            "leave the references of all clips out: those of the split are then taken"
        )
    fids = _fids_of(path, file, clips, namings, needs_all=own or bool(without))
    references = _references(captions)
    matched = [
        CaptionRow(fids.get(row.id, row.id), row.references or references.get(fids[row.id], []), row.hypothesis)
        for row in rows
    ]
    for row in matched:
        _check_references(path, row)
    by_fid = {clip.fid: clip for clip in clips}
    named = set(fids.values())
    missing = [clip for clip in clips if clip.fid not in named]
    return MatchedCaptions(
        matched,
        {row.id: by_fid[row.id] for row in matched if row.id in by_fid},
        missing,
        [references[clip.fid] for clip in missing if named and clip.fid in references],
    )


def one_line(caption: Caption) -> str:
    """What people wrote, on one line and without outer blanks."""
    return " ".join(caption.raw_text.split())


def _fids_of(
    path: Path, file: CaptionFile, clips: Sequence[Clip], namings: Sequence[Naming], *, needs_all: bool
) -> dict[str, str]:
    """Name in the file -> fid, by the naming that knows most of the names.

    Raises:
        ArtefactError: `needs_all`, and a name means no clip, or several; or two names mean one clip.
    """
    names = [row.id for row in file.rows]
    naming = max(namings, key=lambda one: sum(bool(one.find(name)) for name in names))
    found = {name: naming.find(name) for name in names}
    unknown = [name for name, fids in found.items() if not fids]
    if unknown and needs_all:
        raise ArtefactError(
            f"{path}: {len(unknown)} of {len(names)} ids are no clip of the split, the first is "
            f"'{printable(unknown[0])}' in column '{printable(file.id_column)}'; the split has {len(clips)} clips, "
            f"such as '{printable(clips[0].fname)}'; name its split with --split, or add the references to the file"
        )
    several = next((name for name, fids in found.items() if len(fids) > 1), None)
    if several is not None and needs_all:
        raise ArtefactError(
            f"{path}: '{printable(several)}' is the {naming.how} of {len(found[several])} clips; name them by their "
            "paths"
        )
    fids = {name: fids[0] for name, fids in found.items() if len(fids) == 1}
    twice = next((fid for fid, count in Counter(fids.values()).items() if count > 1), None)
    if twice is not None:
        two = [name for name, fid in fids.items() if fid == twice][:2]
        raise ArtefactError(f"{path}: '{printable(two[0])}' and '{printable(two[1])}' are one clip; keep one")
    return fids


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
