"""The tables of a data set: which clips there are, which captions, which were refused."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from utils.artefact_utils.atomic import replacing
from utils.artefact_utils.pickles import dump_pickle, load_pickle
from utils.cli_utils import ArtefactError

FORMAT_VERSION = 1
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
    sound: str = ""  # digest of the samples; empty: silence, or not known (a file of an earlier version)


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
    data, notes = load_pickle(path, repair)
    if notes.get("format_version") != FORMAT_VERSION or not isinstance(data, dict) or "clips" not in data:
        found = notes.get("format_version", "none")
        raise ArtefactError(
            f"{path}: format version is {found}, this program reads {FORMAT_VERSION}; write it again: {repair}"
        )
    if split not in data["clips"]:
        known = ", ".join(data["clips"]) or "none"
        raise ArtefactError(f"{path}: has no split '{split}', only {known}; write it again: {repair}")
    clips = [Clip(*row) for row in data["clips"][split]]
    if not clips:
        raise ArtefactError(f"{path}: split '{split}' is empty; add clips and captions, then: {repair}")
    return clips


def write_text_table(path: Path, captions: Sequence[Caption]) -> None:
    """Write <split>_text.csv: tid, fid, fname, raw_text, text, tokens (a Python list), source_id."""
    rows = ([c.tid, c.fid, c.fname, c.raw_text, c.text, c.tokens, c.source_id] for c in captions)
    write_rows(path, TEXT_COLUMNS, rows)


def read_text_table(path: Path, repair: str) -> list[Caption]:
    """The captions of a split, in table order.

    Raises:
        ArtefactError: the file is missing, not such a table, empty, or has a tid twice.
    """
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file; write it: {repair}")
    try:
        # "None" and "NA" are captions, not missing values
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path}: not a CSV table ({error}); write it again: {repair}") from error
    missing = [column for column in _TEXT_COLUMNS_NEEDED if column not in rows]
    if missing:
        raise ArtefactError(f"{path}: column {', '.join(missing)} is missing; write it again: {repair}")
    if rows.empty:
        raise ArtefactError(f"{path}: holds no captions; add captions, then: {repair}")
    twice = rows.tid[rows.tid.duplicated()]
    if len(twice):
        raise ArtefactError(f"{path}: tid {twice.iloc[0]} stands twice; write it again: {repair}")
    columns = [rows[column].tolist() for column in _TEXT_COLUMNS_NEEDED]
    source_ids = rows["source_id"].tolist() if "source_id" in rows else rows["tid"].tolist()
    return [Caption(*values) for values in zip(*columns, source_ids, strict=True)]


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


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a small CSV table (rejected clips, results, ...), complete or not at all."""
    # a file name may hold bytes that are not UTF-8
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
