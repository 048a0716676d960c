"""A table of captions of any layout: find the columns of the file, the captions, the group."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import check_text_file
from utils.cli_utils import UserError
from utils.dataset_utils.clips import Rejected
from utils.dataset_utils.loose_table import TableForm, read_loose_table
from utils.text_utils.prompts import spoken

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# Headers by what they mean, the most telling first; case, blanks, `_` and `-` do not count.
_FILES = ("path", "filepath", "audiopath", "filename", "file", "fname", "audiofile", "audiofilename", "audio", "clip")
_CAPTIONS = ("caption", "captions", "rawtext", "text", "description", "sentence")
_NUMBERED = re.compile(r"(caption|text|description|sentence)s?\d+")
_LABELS = ("label", "labels", "category", "class", "tag", "tags")
_GROUPS = ("group", "recording", "srcfile", "youtubeid", "speaker", "session")
_SEVERAL_LABELS = re.compile(r"[;,|]")


class OwnRow(NamedTuple):
    """A row with a file name."""

    line: int  # of the file, from 1
    name: str
    captions: list[str]  # at least one, outer blanks included
    text: str | None  # the caption as the table normalises it (`text` beside `raw_text`)
    group: str | None


@dataclass(frozen=True)
class OwnTable:
    """What was read, and how it was understood.

    Attributes:
        rows: those with a caption.
        refused: those without one, and those whose fields are ambiguous.
        understood: one line on the columns and the repairs.
    """

    rows: list[OwnRow]
    refused: list[Rejected]
    understood: str


class _Roles(NamedTuple):
    """What the columns of a table hold."""

    delimiter: str
    columns: list[str]
    file: str
    captions: list[str]
    labels: bool  # the captions are labels
    text: str | None  # the normalised form
    group: str | None


def read_own_table(path: Path, group: str | None, names_a_file: Callable[[str], bool]) -> OwnTable:
    """Read a table of files and captions with commas, semicolons or tabs between its columns.

    Args:
        path: of the table.
        group: the column whose equal values belong together; None: `group`, `src_file`, ... where there is one.
        names_a_file: whether a text is the name of a clip; it decides where a row starts if quotes are broken.
    Raises:
        UserError: no table in UTF-8, no column of files or of captions, or no column `group`.
    """
    roles = _roles(path, group)
    several = len(roles.captions) > 1
    form = TableForm(
        roles.delimiter, (roles.file, roles.captions[0]), lambda values: names_a_file(values[roles.file]), not several
    )
    table = read_loose_table(path, form)
    rows: list[OwnRow] = []
    refused = list(table.refused)
    for line, values in table.rows:
        cells = [values[column] for column in roles.captions if values[column].strip()]
        if not cells:
            refused.append(Rejected("caption", f"{path.name} line {line}", "without a caption"))
            continue
        captions = [_spoken_labels(cell) for cell in cells] if roles.labels else cells
        text = values[roles.text] if roles.text else None
        rows.append(OwnRow(line, values[roles.file], captions, text, values[roles.group] if roles.group else None))
    repairs = "".join(f"; {kind}: {count}" for kind, count in table.repairs.most_common())
    return OwnTable(rows, refused, f"{_describe(path, roles)}{repairs}")


def _spoken_labels(cell: str) -> str:
    """Labels as a caption: 'dog_bark;rain' is 'dog bark, rain'."""
    return ", ".join(spoken(label) for label in _SEVERAL_LABELS.split(cell) if label.strip())


def _roles(path: Path, group: str | None) -> _Roles:
    check_text_file(path)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = stream.readline(2**20).rstrip("\r\n")
    read = [_roles_of(_columns(header, delimiter), delimiter, group) for delimiter in _DELIMITERS]
    found = next((roles for roles in read if roles), None)
    if found is None:
        columns = max((_columns(header, delimiter) for delimiter in _DELIMITERS), key=len)
        raise UserError(
            f"{path}: found the columns {', '.join(columns)}, expected one of file names ({', '.join(_FILES)}) and one "
            f"of captions (caption, caption_1, text, ..., or {', '.join(_LABELS)}); correct the first line"
        )
    if group is not None and found.group is None:
        raise UserError(f"{path}: has no column '{group}' to group by, only {', '.join(found.columns)}; name one")
    return found


def _columns(header: str, delimiter: str) -> list[str]:
    return [column.strip() for column in next(csv.reader([header.rstrip(delimiter)], delimiter=delimiter), [])]


def _roles_of(columns: list[str], delimiter: str, group: str | None) -> _Roles | None:
    """What the columns hold; None where files or captions are missing."""
    by_meaning = {re.sub(r"[\s_-]", "", column.casefold()): column for column in reversed(columns)}

    def first(names: Sequence[str]) -> str | None:
        return next((by_meaning[name] for name in names if name in by_meaning), None)

    file, caption, label = first(_FILES), first(_CAPTIONS), first(_LABELS)
    numbered = [column for name, column in reversed(by_meaning.items()) if _NUMBERED.fullmatch(name)]
    if numbered:
        caption = first(("caption", "captions"))
    captions = [*([caption] if caption else []), *numbered] or ([label] if label else [])
    if file is None or not captions:
        return None
    text = by_meaning.get("text") if caption and caption == by_meaning.get("rawtext") else None
    chosen = first(_GROUPS) if group is None else next((c for c in columns if c == group), None)
    return _Roles(delimiter, columns, file, captions, not (caption or numbered), text, chosen)


def _describe(path: Path, roles: _Roles) -> str:
    kind = "labels, which become captions," if roles.labels else "captions"
    line = (
        f"{path.name}: {_DELIMITERS[roles.delimiter]} between the columns; files in '{roles.file}', {kind} in "
        f"{', '.join(map(repr, roles.captions))}"
    )
    if roles.group:
        line += f", groups in '{roles.group}'"
    used = {roles.file, *roles.captions, roles.text, roles.group}
    others = [column for column in roles.columns if column and column not in used]
    return line + (f"; not used: {', '.join(others)}" if others else "")
