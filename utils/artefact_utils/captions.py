"""Captions that a system has written: <split>_captions.csv, and the files of other systems.

`id`, `references` (a JSON list) and `hypothesis`, a row a clip. Other systems' files are tables with commas, semicolons
or tabs, JSON lists of objects, or lines of JSON objects, of which these layouts are read:

DCASE         file_name, caption_predicted; with references: caption_reference_01, caption_reference_02, ...
aac-metrics   caption_predicted, preds or candidates; caption_1, ..., caption_5, or mult_references (a list)
COCO          [{"image_id": ..., "caption": ...}, ...]
others        prediction, hypothesis, ...; one reference a row (reference, or caption beside a prediction), in as many
              rows as the clip has
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils.csv_rows import check_columns, shortened, strict_rows
from utils.artefact_utils.files import check_is_file, reading_bytes
from utils.artefact_utils.tables import write_rows
from utils.cli_utils import ArtefactError, short_repr
from utils.config_utils.json_files import parse_json, read_json

CAPTION_COLUMNS = ("id", "references", "hypothesis")
# The names that each column has in published files; the first one that a file has is taken.
_IDS = (
    *("id", "fid", "file_name", "fname", "filename", "file", "audio_id", "audiocap_id", "audio_path", "youtube_id"),
    *("image_id", "img_id", "image", "image_name"),
)
_HYPOTHESES = (
    *("hypothesis", "caption_predicted", "predicted_caption", "prediction", "predicted", "candidate", "candidates"),
    *("cand", "cands", "pred", "preds", "hypotheses", "generated_caption", "caption"),
)
_REFERENCES = ("references", "mult_references", "mrefs", "refs", "reference", "caption_reference", "ref")
_NUMBERED = re.compile(r"(?:caption|caption_reference|reference|ref)_0*(\d+)")  # of one reference a column
_MISSING = ("nan", "none", "null", "<na>")  # what pandas and Python write where there is no text
_OF_ONE = ("caption", "captions")  # a hypothesis, or the references where another column is the hypothesis
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# the values of a column -> the better the larger: how many are names of clips
Rate = Callable[[Sequence[str]], tuple[int, ...]]
_Row = tuple[str, Mapping[str, Any]]  # where it is in the file, and its values by column


class CaptionRow(NamedTuple):
    """What a system says of a clip, and what people said."""

    id: str  # of the clip: its fid in a file of this project, any name of it in another one
    references: list[str]  # in the order of the dataset; empty in a file that holds hypotheses alone
    hypothesis: str  # may be empty: the system had nothing to say


def write_captions(path: Path, rows: Iterable[CaptionRow]) -> None:
    """Write <split>_captions.csv, complete or not at all.

    Args:
        path: of the table.
        rows: a row a clip; a NUL in a text, which no table may hold, is written as U+FFFD.

    Raises:
        ForeignFileError: a file of another program is there.
    """
    cells = ([_storable(part) for part in (row.id, _as_json(row.references), row.hypothesis)] for row in rows)
    write_rows(path, CAPTION_COLUMNS, cells)


class CaptionFile(NamedTuple):
    """What is read of a file."""

    rows: list[CaptionRow]
    id_column: str  # which column names the clips


def read_captions(path: Path, repair: str = "name a file of captions") -> list[CaptionRow]:
    """Read the captions of this system or another one, as `read_caption_file`."""
    return read_caption_file(path, repair).rows


def read_caption_file(path: Path, repair: str = "name a file of captions", rate: Rate | None = None) -> CaptionFile:
    """Read the captions of this system or another one, a row a clip, in the order of the file.

    Args:
        path: a table in UTF-8 with commas, semicolons or tabs, a JSON list of objects, or such objects, one a line.
        repair: what to do where there is no such file, for messages.
        rate: chooses among several columns that may name the clip; None, or of equals: the first of the known names.

    Raises:
        ArtefactError: missing, empty, of another kind, a column or a caption is missing, or a clip has two hypotheses.
    """
    check_is_file(path, repair)
    read = {".json": _json_rows, ".jsonl": _json_lines, ".ndjson": _json_lines}.get(path.suffix.lower(), _table_rows)
    rows = list(read(path))
    if not rows:
        raise ArtefactError(f"{path}: holds no captions; {repair}")
    layout = _Layout.of(path, list(rows[0][1]))
    if rate is not None and not layout.is_own:
        layout = layout.with_best_id([values for _, values in rows], rate)
    found: dict[str, CaptionRow] = {}
    for where, values in rows:
        row = layout.row(f"{path}, {where}", values)
        known = found.setdefault(row.id, row)
        if known.hypothesis != row.hypothesis:
            two = f"'{shortened(known.hypothesis)}' and '{shortened(row.hypothesis)}'"
            raise ArtefactError(f"{path}, {where}: '{row.id}' has two hypotheses, {two}; keep one of them")
        if known is not row:  # the file has a row for each reference
            known.references.extend(text for text in row.references if text not in known.references)
    return CaptionFile(list(found.values()), layout.id)


class _Layout(NamedTuple):
    """Which columns of a file hold what."""

    id: str
    references: tuple[str, ...]  # one with a list or a text, several with a text each, or none
    hypothesis: str
    is_own: bool  # as `write_captions` writes it

    @classmethod
    def of(cls, path: Path, columns: Sequence[str]) -> _Layout:
        """Find the columns by their names, in any case.

        Raises:
            ArtefactError: there is none for the clip, or none for its hypothesis.
        """
        named = {column.strip().casefold(): column for column in columns}
        numbered = {int(match[1]): column for name, column in named.items() if (match := _NUMBERED.fullmatch(name))}
        listed = next(((named[name],) for name in _REFERENCES if name in named), ())
        clip, hypothesis = (
            next((named[name] for name in names if name in named), None) for names in (_IDS, _HYPOTHESES)
        )
        for found, what, names in ((clip, "the clip", _IDS), (hypothesis, "its predicted caption", _HYPOTHESES)):
            if found is None:
                there = shortened(", ".join(columns)) or "none"
                raise ArtefactError(
                    f"{path}: no column names {what}: found {there}, expected one of {', '.join(names)}; rename it"
                )
        beside = next(((named[name],) for name in _OF_ONE if name in named and named[name] != hypothesis), ())
        references = listed or tuple(numbered[number] for number in sorted(numbered)) or beside
        return cls(str(clip), references, str(hypothesis), tuple(columns) == CAPTION_COLUMNS)

    def with_best_id(self, rows: Sequence[Mapping[str, Any]], rate: Rate) -> _Layout:
        """The same with the column whose values are names of most clips, of several that may name them."""
        named = {column.strip().casefold(): column for column in rows[0]}
        columns = [named[name] for name in _IDS if name in named]
        return self._replace(id=max(columns, key=lambda column: rate([str(row[column]) for row in rows])))

    def row(self, where: str, values: Mapping[str, Any]) -> CaptionRow:
        """A row of the file.

        Raises:
            ArtefactError: a value is missing or of another kind.
        """
        clip = str(values[self.id]) if isinstance(values[self.id], int) else self._text(where, self.id, values)
        if not clip.strip():
            raise ArtefactError(f"{where}: {self.id} is empty, expected the name of a clip; write it")
        hypothesis = self._text(where, self.hypothesis, values)
        if len(self.references) == 1 and not isinstance(values[self.references[0]], str):
            references = _texts(where, self.references[0], values[self.references[0]])
        elif len(self.references) == 1:
            references = _listed(where, self.references[0], self._text(where, self.references[0], values))
        else:
            references = [self._text(where, column, values) for column in self.references if values[column] != ""]
        return CaptionRow(clip, references, hypothesis)

    def _text(self, where: str, column: str, values: Mapping[str, Any]) -> str:
        """The text in a cell; a model may say 'none' in a file of this project, where no cell is missing."""
        value = values[column]
        if value is None or (not self.is_own and isinstance(value, str) and value.strip().casefold() in _MISSING):
            raise ArtefactError(
                f"{where}: {column} is {short_repr(value)}, where a text is missing; write the caption, or "
                "leave it empty where the system has none"
            )
        if not isinstance(value, str):
            raise ArtefactError(f"{where}: {column} is {short_repr(value)}, expected a text; correct it")
        return value


def _delimiter_of(path: Path) -> str:
    """The delimiter by which the header has the columns of captions; a comma where none has."""
    for delimiter in _DELIMITERS:
        _, header = next(strict_rows(path, delimiter), (1, [""]))
        names = {name.strip().casefold() for name in header}
        if names.intersection(_IDS) and names.intersection(_HYPOTHESES):
            return delimiter
    return "\t" if path.suffix.lower() in (".tsv", ".tab") else ","


def _table_rows(path: Path) -> Iterator[_Row]:
    delimiter = _delimiter_of(path)
    rows = strict_rows(path, delimiter)
    _, header = next(rows, (1, []))
    check_columns(path, header)
    for line, cells in rows:
        if len(cells) != len(header):
            raise ArtefactError(
                f"{path}, line {line}: {len(cells)} cells, the header has {len(header)}; put captions with "
                f"{_DELIMITERS[delimiter]} in quotes"
            )
        yield f"line {line}", dict(zip(header, cells, strict=True))


def _json_rows(path: Path) -> Iterator[_Row]:
    try:
        with reading_bytes(path):
            rows = read_json(path, allow_nan=True)
    except ValueError as error:
        raise ArtefactError(f"{path}: not JSON ({error}); write it again") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ArtefactError(f'{path}: expected a list of objects such as {{"image_id": ..., "caption": ...}}')
    yield from _alike(path, rows, "row")


def _json_lines(path: Path) -> Iterator[_Row]:
    try:
        with reading_bytes(path):
            lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ArtefactError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line) if line.strip() else None
        except ValueError as error:
            raise ArtefactError(f"{path}, line {number}: not JSON ({error}); correct it") from error
        if row is not None and not isinstance(row, dict):
            raise ArtefactError(
                f'{path}, line {number}: expected an object such as {{"image_id": ..., "caption": ...}}'
            )
        rows += [row] if row else []
    yield from _alike(path, rows, "object")


def _alike(path: Path, rows: Sequence[Mapping[str, Any]], what: str) -> Iterator[_Row]:
    """The rows, all of the keys of the first one."""
    for number, row in enumerate(rows, 1):
        if row.keys() != rows[0].keys():
            raise ArtefactError(
                f"{path}, {what} {number}: has other keys than {what} 1, {', '.join(rows[0])}; correct it"
            )
        yield f"{what} {number}", row


def _listed(where: str, column: str, cell: str) -> list[str]:
    """The references in a cell: a JSON list, a list as Python writes it, or one text; none in an empty one."""
    if not cell.lstrip().startswith("["):
        return [cell] if cell.strip() else []
    try:
        values = json.loads(cell)
    except (ValueError, RecursionError):
        try:
            values = ast.literal_eval(cell.strip())  # literals alone: nothing is run
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise ArtefactError(
                f"{where}: {column} begins as a list but is none: {shortened(cell)!r}; write a JSON list of texts"
            ) from error
    return _texts(where, column, values)


def _texts(where: str, column: str, values: Any) -> list[str]:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise ArtefactError(f"{where}: {column} is {short_repr(values)}, expected a list of texts; correct it")
    return list(values)


def _as_json(references: Sequence[str]) -> str:
    return json.dumps(list(references), ensure_ascii=False)


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")
