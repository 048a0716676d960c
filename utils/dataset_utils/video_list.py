"""Lists of recordings with categories: a CSV of addresses or files, folders named by category, a metadata table.

CSV         url, category; perhaps id, channel, start_s, end_s, split: an http(s) address, or a file below data.root
folders     category/clip.wav, perhaps below folders of splits (train, validation, test)
metadata    metadata.csv or metadata.jsonl with file_name and category (or label), as Hugging Face's audiofolder has it
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import check_columns, delimiter_of, number_in, strict_rows
from utils.cli_utils import UserError, printable, short_repr
from utils.dataset_utils.music import tidy

COLUMNS = ("url", "category", "id", "channel", "start_s", "end_s", "split")
MIN_RECORDINGS = 2  # of a category: one to train with, one that is never heard in training
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")  # also a file name, on every system
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(r"\Ahttps?://[^/?#@]*(?=[/?#]|\Z)", re.IGNORECASE)  # in which case means nothing
_YOUTUBE = re.compile(
    r"https?://(?:www\.|m\.|music\.)?(?:youtube(?:-nocookie)?\.com/(?:watch\?(?:.*&)?v=|(?:shorts|embed|live|v)/)|youtu\.be/)"
    r"([\w-]{11})(?![\w-])"
)


class ListedRecording(NamedTuple):
    """One row of a list; what is not known is empty or None.

    Attributes:
        id: our own, also the name of its file; of the list, or a digest of address and section.
        category: without outer blanks.
        url: its address; empty for a local file.
        path: of a local file, relative to data.root; empty for an address.
        channel: who made it: all of one channel belong to one split.
        start_s: where the section begins; 0: with the recording.
        end_s: where it ends; None: with the recording.
        split: as the list calls it.
        where: the line or file that says so, for messages.
    """

    id: str
    category: str
    url: str = ""
    path: str = ""
    channel: str = ""
    start_s: float = 0.0
    end_s: float | None = None
    split: str = ""
    where: str = ""

    @property
    def recording(self) -> str:
        """What sections of one recording have in common, however its address is spelled."""
        return address_key(self.url or self.path)

    @property
    def is_section(self) -> bool:
        """Whether it is a part of the recording."""
        return self.start_s > 0 or self.end_s is not None

    @property
    def is_local(self) -> bool:
        """Whether it is a whole file that is there, of which no other one is made."""
        return bool(self.path) and not self.is_section


def address_key(address: str) -> str:
    """What all spellings of the address of a recording have in common; of a path, itself."""
    video = _YOUTUBE.match(address)
    return f"youtube {video[1]}" if video else address


def read_video_list(path: Path) -> list[ListedRecording]:
    """Read a CSV of addresses and local files; whether the files are there is not checked.

    Raises:
        UserError: no such file, empty, a column that is not known or missing, a row without address or category, a
            number that is none, an id that cannot name a file, or rows that contradict each other.
    """
    table = list(strict_rows(path, delimiter_of(path, COLUMNS[:2])))
    if not table:
        raise UserError(f"{path}: is empty; expected a CSV with the columns url, category")
    columns = [column.strip().casefold() for column in table[0][1]]
    _check_header(path, columns)
    recordings = []
    for line, cells in table[1:]:
        if len(cells) > len(columns):
            raise UserError(
                f"{path}, line {line}: {len(cells)} fields, the header has {len(columns)}; put an address or a "
                "category with commas in quotes"
            )
        row = dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False))
        if any(map(str.strip, cells)):
            recordings.append(_recording(row, f"{path}, line {line}"))
    if not recordings:
        raise UserError(f"{path}: has no row below its header; add recordings")
    return checked(recordings)


def _check_header(path: Path, columns: Sequence[str]) -> None:
    check_columns(path, columns)
    unknown = [column for column in columns if column and column not in COLUMNS]
    missing = [column for column in COLUMNS[:2] if column not in columns]
    perhaps = ", ".join(COLUMNS[2:])
    expected = f"expected url, category and perhaps {perhaps}, with commas, semicolons or tabs between them"
    if missing:
        found = printable(", ".join(columns))
        raise UserError(f"{path}: column {', '.join(missing)} is missing: found {found}; {expected}")
    if unknown:
        raise UserError(f"{path}: unknown column {printable(', '.join(unknown))}; {expected}; remove or rename it")


def _recording(row: Mapping[str, str], where: str) -> ListedRecording:
    for column in COLUMNS[:2]:
        if not row[column].strip():
            raise UserError(f"{where}: no {column}; write one, or remove the row")
    start_s, end_s = (_seconds(row[column], column, where) for column in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UserError(f"{where}: the section ends at {end_s:g} s and begins at {start_s or 0:g} s; correct one")
    url = _HOST.sub(lambda found: found[0].lower(), row["url"].strip())
    scheme = _ADDRESS.match(url)
    if scheme and scheme[1].casefold() not in ("http", "https"):
        raise UserError(
            f"{where}: the address begins with '{printable(scheme[1])}://', expected http://, https://, or the path of "
            "a file below data.root"
        )
    found = ListedRecording(
        id=row["id"].strip(),
        category=row["category"],  # `checked` removes blanks, once it has compared them
        url=url if scheme else "",
        path="" if scheme else url,
        channel=tidy(row["channel"]),
        start_s=start_s or 0.0,
        end_s=end_s,
        split=tidy(row["split"]),
        where=where,
    )
    if found.id and not _ID.fullmatch(found.id):
        raise UserError(
            f"{where}: id {short_repr(found.id)} cannot name a file; expected up to 100 letters, digits, '_', '-' and "
            "'.', the last not in front; correct it"
        )
    return found if found.id else found._replace(id=id_of(found))


def _seconds(cell: str, column: str, where: str) -> float | None:
    if not cell.strip():
        return None
    seconds = number_in(cell.strip())
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise UserError(f"{where}: {column} is {short_repr(cell.strip())}, expected seconds from 0 on; correct it")
    return seconds


def id_of(recording: ListedRecording) -> str:
    """An id of a recording that has none: 16 hexadecimal digits, of what it is and of its section alone."""
    end = "" if recording.end_s is None else f"{recording.end_s!r}"
    text = f"{recording.recording}\0{recording.start_s!r}\0{end}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def checked(recordings: Sequence[ListedRecording]) -> list[ListedRecording]:
    """Check that rows do not contradict each other, and remove outer blanks of categories.

    Raises:
        UserError: categories that differ in case or blanks alone, two rows of one id or of one section, or, as
            `check_categories`, too few.
    """
    _distinct(
        recordings,
        lambda r: re.sub(r"\s", "", tidy(r.category).casefold()),
        lambda r: r.category,
        "category {0} differs from {1} ({2}) in case or blanks alone; write them alike",
    )
    tidied = [recording._replace(category=tidy(recording.category)) for recording in recordings]
    same = "{0} is the recording of {2} once more{3}; keep one row of it"
    _distinct(tidied, lambda r: (r.recording, r.start_s, r.end_s), lambda r: (r.url or r.path, r.where), same)
    twice = "two rows with the id {0}: it is that of {2} too, or differs in case alone{3}; give each recording its own"
    _distinct(tidied, lambda r: r.id.casefold(), lambda r: (r.id, r.where), twice)
    check_categories(tidied)
    return tidied


def _distinct(
    recordings: Sequence[ListedRecording],
    key: Callable[[ListedRecording], object],
    spelling: Callable[[ListedRecording], object],
    text: str,
) -> None:
    """Check that recordings of equal keys have equal spellings; `text` says of a value, an earlier one, its place."""
    first: dict[object, ListedRecording] = {}
    wrong = [r for r in recordings if spelling(first.setdefault(key(r), r)) != spelling(r)]
    if not wrong:
        return
    found, earlier = wrong[0], first[key(wrong[0])]
    values = [value[0] if isinstance(value := spelling(r), tuple) else value for r in (found, earlier)]
    more = f" (and {len(wrong) - 1} more such rows)" if len(wrong) > 1 else ""
    place = earlier.where.rpartition(", ")[2]
    raise UserError(f"{found.where}: {text.format(*map(short_repr, values), place, more)}")


def check_categories(recordings: Sequence[ListedRecording], what: str = "") -> None:
    """Check that there are categories to tell apart, each with recordings for training and for measuring.

    Args:
        recordings: sections of one recording count once.
        what: of these recordings, for messages, such as " that can be fetched".
    Raises:
        UserError: fewer than two categories, or one with a single recording.
    """
    members: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        members[recording.category].add(recording.recording)
    if len(members) < 2:
        found = f"one, '{printable(next(iter(members)))}'" if members else "none"
        raise UserError(f"categories{what}: found {found}, expected at least 2 to tell apart; add recordings of others")
    few = {category: len(found) for category, found in members.items() if len(found) < MIN_RECORDINGS}
    if few:
        first, more = next(iter(few)), f" (and {len(few) - 1} more categories)" if len(few) > 1 else ""
        where = next(recording.where for recording in recordings if recording.category == first)
        raise UserError(
            f"{where}: category '{printable(first)}' has one recording{what}{more}, expected at least "
            f"{MIN_RECORDINGS}: one to train with and one to measure; add recordings, or leave the category out"
        )


def by_turns(recordings: Sequence[ListedRecording], limit: int | None) -> list[ListedRecording]:
    """The first `limit` recordings, taken from the categories by turns, in the order of the list; None: all."""
    if limit is None:
        return list(recordings)
    turns: Counter[str] = Counter()
    ranked = []
    for number, recording in enumerate(recordings):
        ranked.append((turns[recording.category], number))
        turns[recording.category] += 1
    return [recordings[number] for number in sorted(number for _, number in sorted(ranked)[:limit])]
