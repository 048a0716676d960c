"""Look up the random ids of another dataset: tid -> caption, fid -> file name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import strict_rows
from utils.cli_utils import ArtefactError

_TEXT_COLUMNS = ("raw_text", "text")  # the first one that the table has
_FILE_COLUMNS = ("fname", "file_name")


class IdNames(NamedTuple):
    """Names by id; callers use an unknown id itself as the name."""

    texts: dict[str, str]  # tid -> caption
    files: dict[str, str]  # fid -> file name


def read_id_names(paths: Sequence[Path]) -> IdNames:
    """Read tables that have `tid` beside `raw_text` or `text`, or `fid` beside `fname` or `file_name`, or all four.

    Such are <split>_text.csv of the DCASE 2023 baseline, and <split>_text.csv and <split>_audio_metadata.csv of its
    graded relevances.

    Raises:
        ArtefactError: a file is missing, no CSV, or has neither pair of columns.
    """
    names = IdNames({}, {})
    for path in paths:
        rows = strict_rows(path)
        line, header = next(rows, (1, []))
        pairs = [
            (header.index(id_name), header.index(column), into)
            for id_name, columns, into in (("tid", _TEXT_COLUMNS, names.texts), ("fid", _FILE_COLUMNS, names.files))
            for column in [next((column for column in columns if column in header), "")]
            if column and id_name in header
        ]
        if not pairs:
            raise ArtefactError(
                f"{path}, line {line}: found no tid beside raw_text or text and no fid beside fname or file_name; name "
                "the <split>_text.csv with these ids"
            )
        for line, cells in rows:
            if len(cells) != len(header):
                raise ArtefactError(f"{path}, line {line}: {len(cells)} cells, expected {len(header)} as in the header")
            for id_column, name_column, into in pairs:
                into.setdefault(cells[id_column], cells[name_column])
    return names
