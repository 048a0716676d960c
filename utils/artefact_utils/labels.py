"""labels.csv: the category of every recording that has a clip, with its split, channel and section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import file_name_in, number_in, own_rows
from utils.artefact_utils.tables import write_rows
from utils.cli_utils import ArtefactError, short_repr


class LabelledRecording(NamedTuple):
    """One recording, or a section of one; what is not known is empty."""

    fid: str  # of its clip in audio_info.pkl
    source_id: str  # our own id in the list, `Clip.source_id`
    split: str
    path: str  # relative to data.root; a section is a file of its own
    category: str
    channel: str
    url: str  # of a section of a local file: that file, relative to data.root; empty for a whole local file
    start_s: float = 0.0  # of the section in the recording
    end_s: float | None = None  # None: the end of the recording
    duration_s: float = 0.0  # of the file


LABEL_COLUMNS = list(LabelledRecording._fields)


def write_labels(path: Path, recordings: Sequence[LabelledRecording]) -> None:
    """Write labels.csv: a row a recording.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    write_rows(path, LABEL_COLUMNS, ([*row[:-1], round(row.duration_s, 6)] for row in recordings))


def read_labels(path: Path, repair: str, split: str | None = None) -> list[LabelledRecording]:
    """The recordings, in table order.

    Args:
        path: of the table.
        repair: the command that makes it, for messages.
        split: whose recordings; None: those of all splits.
    Raises:
        ArtefactError: the file is missing, no such table, has an id twice, or no recording of the split.
    """
    again = f"write it again: {repair}"
    recordings = []
    for line, cells in own_rows(path, LABEL_COLUMNS, repair):
        recording = _recording(cells)
        if recording is None:
            raise ArtefactError(f"{path}, line {line}: is no row of a recording; {again}")
        recordings.append(recording)
    for column in ("fid", "source_id"):
        values = Counter(getattr(recording, column) for recording in recordings)
        value, count = max(values.items(), key=itemgetter(1), default=("", 0))
        if count > 1:
            raise ArtefactError(f"{path}: {column} {short_repr(value)} occurs {count} times; {again}")
    chosen = [recording for recording in recordings if split in (None, recording.split)]
    if not chosen:
        known = ", ".join(dict.fromkeys(recording.split for recording in recordings)) or "none"
        raise ArtefactError(f"{path}: has no recordings of '{split or 'any split'}', only of {known}; {again}")
    return chosen


def _recording(cells: Sequence[str]) -> LabelledRecording | None:
    fid, source_id, split, path, category, channel, url, start, end, duration = cells
    start_s, duration_s = number_in(start), number_in(duration)
    end_s = number_in(end) if end else None
    numbers = [start_s, duration_s, end_s if end else 0.0]
    if not category or any(number is None or not 0 <= number < float("inf") for number in numbers):
        return None
    names = file_name_in(path), category, channel, file_name_in(url)
    return LabelledRecording(fid, source_id, split, *names, start_s or 0.0, end_s, duration_s or 0.0)
