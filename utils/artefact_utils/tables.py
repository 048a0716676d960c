"""The tables of a data set: which clips there are, which captions, which were refused."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.files import check_is_file, reading_bytes
from utils.artefact_utils.ownership import Known, known_table, refuse_foreign
from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.cli_utils import ArtefactError, short_repr
from utils.cli_utils.repairs import make

FORMAT_VERSION = 1
_ID = re.compile(r"[^/\0\ud800-\udfff]*[^./\0\ud800-\udfff][^/\0\ud800-\udfff]*")  # names a dataset in HDF5
_MAX_DURATION_S = 10**7  # a third of a year
TEXT_COLUMNS = ["tid", "fid", "fname", "raw_text", "text", "tokens", "source_id"]
_TEXT_COLUMNS_NEEDED = TEXT_COLUMNS[:5]


class Clip(NamedTuple):
    """One recording of a split."""

    fid: str  # made from the split, the name and the content of the file
    fname: str
    path: str  # relative to data.root
    duration_s: float
    sample_rate_hz: int
    channels: int
    source_id: str  # the data set's own id
    sound: str = ""  # digest of the samples, of a picture its fingerprint; empty: silence, or not known


class Caption(NamedTuple):
    """One caption of one clip."""

    tid: str  # made from the split, the clip's name and the words of the text
    fid: str
    fname: str
    raw_text: str  # as the data set spells it, outer blanks included
    text: str  # lower case, no punctuation
    source_id: str  # the data set's own id

    @property
    def tokens(self) -> list[str]:
        """The words of `text`."""
        return self.text.split()


def write_audio_info(path: Path, clips: Mapping[str, Sequence[Clip]], notes: dict[str, Any]) -> None:
    """Write audio_info.pkl: `audio_fid2fname`, `audio_durations` (s) as the DCASE 2023 baseline, and `clips`."""
    data = {
        "audio_fid2fname": {split: {c.fid: c.fname for c in rows} for split, rows in clips.items()},
        "audio_durations": {split: [c.duration_s for c in rows] for split, rows in clips.items()},
        "clips": {split: [tuple(c) for c in rows] for split, rows in clips.items()},
    }
    dump_pickle(path, data, {"format_version": FORMAT_VERSION, **notes})


def read_clips(path: Path, split: str, repair: str) -> list[Clip]:
    """The clips of a split, in table order.

    Raises:
        ArtefactError: the file is missing, broken, of another version, or has no such split or an empty one.
    """
    return read_clips_of(path, [split], repair)[split]


def read_clips_of(path: Path, splits: Iterable[str], repair: str) -> dict[str, list[Clip]]:
    """Read the clips of several splits, in table order; the file, which holds all splits, is read once.

    Raises:
        ArtefactError: as `read_clips`.
    """
    data = _clip_table(path, repair)
    clips = {}
    for split in splits:
        if split not in data["clips"]:
            known = ", ".join(data["clips"]) or "none"
            raise ArtefactError(f"{path}: has no split '{split}', only {known}; write it again: {repair}")
        clips[split] = _clips_of(data["clips"][split], path, repair)
        if not clips[split]:
            raise ArtefactError(f"{path}: split '{split}' is empty; add clips and captions, then: {repair}")
    return clips


def _clip_table(path: Path, repair: str) -> dict[str, Any]:
    data, notes = load_pickle(path, repair)
    if not notes and isinstance(data, dict) and "audio_fid2fname" in data:
        takeover = make("taken-over-features", "--from", str(path.parent), "--set", "data.features=DIR")
        raise ArtefactError(
            f"{path}: is a file of the DCASE 2023 baseline, whose random ids cannot be made again; keep its folder, "
            f"and take its files over into another one: {takeover}"
        )
    if notes.get("format_version") != FORMAT_VERSION or not _has_clips(data):
        found = notes.get("format_version", "none")
        raise ArtefactError(
            f"{path}: format version is {found}, this program reads {FORMAT_VERSION}; write it again: {repair}"
        )
    return dict(data)


def _has_clips(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("clips"), dict) and all(map(_is_text, data["clips"]))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _clips_of(rows: Any, path: Path, repair: str) -> list[Clip]:
    """The clips of the rows of a split.

    Raises:
        ArtefactError: a row is no clip, or its path leads out of data.root.
    """
    if not isinstance(rows, list | tuple):
        raise ArtefactError(f"{path}: found {type(rows).__name__}, expected a list of clips; write it again: {repair}")
    clips = []
    for number, row in enumerate(rows):
        problem = _why_no_clip(row)
        if problem:
            raise ArtefactError(f"{path}: clip {number} {problem}; write it again: {repair}")
        clips.append(Clip(*row))
    if len({clip.fid for clip in clips}) < len(clips):
        twice = next(fid for fid, count in Counter(clip.fid for clip in clips).items() if count > 1)
        raise ArtefactError(f"{path}: fid {twice} occurs twice; write it again: {repair}")
    return clips


def _why_no_clip(row: Any) -> str | None:
    least = len(Clip._fields) - len(Clip._field_defaults)  # files of earlier versions have no more
    if not isinstance(row, list | tuple) or not least <= len(row) <= len(Clip._fields):
        return f"is no row of {', '.join(Clip._fields)}"
    clip = Clip(*row)
    if not all(map(_is_text, (clip.fid, clip.fname, clip.path, clip.source_id, clip.sound))) or not clip.fid:
        return "has a name or an id that is no text"
    if not _ID.fullmatch(clip.fid):
        return f"has the fid {short_repr(clip.fid)}, expected a name without slashes"
    if not isinstance(clip.duration_s, int | float) or not 0 <= clip.duration_s < _MAX_DURATION_S:
        return f"has the duration {short_repr(clip.duration_s)}, expected seconds"
    if not all(type(number) is int and 0 <= number < 2**31 for number in (clip.sample_rate_hz, clip.channels)):
        return "has a sample rate or a number of channels that is no whole number"
    # as pathlib finds it, in a tenth of the time
    if clip.path.startswith("/") or ".." in clip.path.split("/") or "\0" in clip.path:
        return f"has the path {short_repr(clip.path)}, which leads out of data.root"
    return None


def write_text_table(path: Path, captions: Sequence[Caption]) -> None:
    """Write <split>_text.csv: tid, fid, fname, raw_text, text, tokens (a Python list), source_id."""
    rows = ([c.tid, c.fid, c.fname, c.raw_text, c.text, c.tokens, c.source_id] for c in captions)
    write_rows(path, TEXT_COLUMNS, rows)


def read_text_table(path: Path, repair: str) -> list[Caption]:
    """The captions of a split, in table order.

    Raises:
        ArtefactError: the file is missing, lacks a column, is empty, or has a tid twice.
    """
    columns, rows = _read_csv(path, repair)
    missing = [column for column in _TEXT_COLUMNS_NEEDED if column not in columns]
    if missing:
        raise ArtefactError(f"{path}: column {', '.join(missing)} is missing; write it again: {repair}")
    if not rows:
        raise ArtefactError(f"{path}: holds no captions; add captions, then: {repair}")
    wanted = [*_TEXT_COLUMNS_NEEDED, "source_id" if "source_id" in columns else "tid"]
    pick = itemgetter(*(columns.index(column) for column in wanted))
    captions = [Caption(*pick(row)) for row in rows]
    tids = Counter(caption.tid for caption in captions)
    if len(tids) < len(captions):
        twice = next(tid for tid, count in tids.items() if count > 1)
        raise ArtefactError(f"{path}: tid {twice} occurs twice; write it again: {repair}")
    return captions


def _read_csv(path: Path, repair: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows, each with a cell a column.

    Raises:
        ArtefactError: missing, not CSV in UTF-8, or a row with more or fewer cells.
    """
    check_is_file(path, f"write it: {repair}")
    try:
        with reading_bytes(path), path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            rows: list[list[str]] = []
            for row in reader:
                if rows and row and len(row) != len(rows[0]):
                    raise csv.Error(f"line {reader.line_num} has {len(row)} cells, the header {len(rows[0])}")
                rows += [row] if row else []
    except (csv.Error, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path}: not a CSV table ({error}); write it again: {repair}") from error
    if not rows:
        raise ArtefactError(f"{path}: not a CSV table (it is empty); write it again: {repair}")
    return rows[0], rows[1:]


def write_vocab_info(path: Path, captions: Mapping[str, Sequence[Caption]]) -> None:
    """Write vocab_info.pkl: `vocabulary` (a set), `word_bags` (lists of words) and `split_infos`."""
    bags = {split: [word for caption in rows for word in caption.tokens] for split, rows in captions.items()}
    data = {
        "vocabulary": set().union(*bags.values()),
        "word_bags": bags,
        "split_infos": {
            split: {
                "num_clips": len({caption.fid for caption in rows}),
                "num_captions": len(rows),
                "num_words": len(bags[split]),
            }
            for split, rows in captions.items()
        },
    }
    dump_pickle(path, data, {"format_version": FORMAT_VERSION})


def write_rows(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], known: Known | None = None
) -> None:
    """Write a small CSV table (rejected clips, results, ...), complete or not at all.

    Args:
        path: of the table.
        columns: its header.
        rows: a value a column.
        known: as `replacing` takes it; None: a table of the same header is of this project.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    # a file name may hold bytes that are not UTF-8
    with (
        replacing(path, known or known_table(columns)) as beside,
        beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)


def remove_table(path: Path, columns: Sequence[str]) -> None:
    """Remove a table of `write_rows`, if it is there.

    Raises:
        ForeignFileError: a file with other columns is there.
    """
    refuse_foreign(path, known_table(columns))
    path.unlink(missing_ok=True)
