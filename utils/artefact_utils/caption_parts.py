"""Captions while they are written: hours of generation that are killed go on from the last batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.artefact_utils.atomic import write_json
from utils.artefact_utils.captions import CaptionRow, write_captions
from utils.artefact_utils.files import reading_bytes
from utils.cli_utils import ArtefactError
from utils.config_utils.json_files import parse_json, read_json


class CaptionParts:
    """Lines of JSON beside the table that is being written: what they are made with, then a batch each.

    Args:
        table: <split>_captions.csv.
        made_with: everything that a caption depends on, plain values; lines of other settings are not reused.
    """

    def __init__(self, table: Path, made_with: Mapping[str, Any]) -> None:
        text = json.dumps(dict(made_with), sort_keys=True)
        self._mark = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._table = table
        self._path = table.with_name(f"{table.stem}.parts.jsonl")

    def finished(self) -> dict[str, str]:
        """Id -> caption of what is on disk; a line that a kill has cut short ends it, and is written again."""
        found: dict[str, str] = {}
        lines = self._path.read_bytes().splitlines() if self._path.is_file() else []
        whole = 0
        for number, line in enumerate(lines):
            try:
                held = parse_json(line.decode())
            except ValueError:
                break
            if number == 0 and held != {"made_with": self._mark}:
                break
            if number and not (isinstance(held, dict) and all(isinstance(text, str) for text in held.values())):
                break
            found.update(held if number else {})
            whole += 1
        if whole < len(lines):
            self._path.write_bytes(b"".join(line + b"\n" for line in lines[:whole]))
        return found

    def add(self, captions: Mapping[str, str]) -> None:
        """Write the captions of a batch, by id."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self._path.is_file() or not self._path.stat().st_size
        with self._path.open("a", encoding="utf-8") as stream:
            for held in ([{"made_with": self._mark}] if is_new else []) + [dict(captions)]:
                stream.write(json.dumps(held) + "\n")

    def complete(self, rows: Sequence[CaptionRow], made_with: Mapping[str, Any]) -> None:
        """Write the table, then the note of what made it, and remove the lines: the table holds what they hold.

        Args:
            rows: of the table.
            made_with: for `is_made_with`.
        """
        write_captions(self._table, rows)
        write_json(_note_of(self._table), _note(self._table, made_with))
        self._path.unlink(missing_ok=True)


def is_made_with(table: Path, made_with: Mapping[str, Any]) -> bool:
    """Whether a table of captions is complete, was made with this, and has not changed since.

    Args:
        table: <split>_captions.csv.
        made_with: as of `CaptionParts.complete`.
    """
    note = _note_of(table)
    if not (table.is_file() and note.is_file()):
        return False
    try:
        held = read_json(note)
    except ValueError:  # the captions are written again, and the note with them
        return False
    return bool(held == _note(table, made_with))


def made_with_of(table: Path, again: str) -> dict[str, Any] | None:
    """What a table of captions was made with; None of a table without a note, such as an earlier version wrote.

    Args:
        table: <split>_captions.csv.
        again: the command that writes it again, for messages.

    Raises:
        ArtefactError: the note is broken, or the table has changed since it was written.
    """
    note = _note_of(table)
    if not note.is_file():
        return None
    try:
        with reading_bytes(note):
            held = read_json(note)
    except ValueError as error:
        raise ArtefactError(f"{note}: not JSON ({error}); write it again: {again}") from error
    made_with = held.get("made_with") if isinstance(held, dict) else None
    if not isinstance(made_with, dict):
        raise ArtefactError(f"{note}: does not say what {table.name} was made with; write it again: {again}")
    if held != _note(table, made_with):
        raise ArtefactError(
            f"{table}: has changed since it was written, its digest is not that in {note.name}; write it again: "
            f"{again}; captions that were edited by hand are measured as FILE"
        )
    return made_with


def _note_of(table: Path) -> Path:
    return table.with_name(f"{table.stem}.made_with.json")


def _note(table: Path, made_with: Mapping[str, Any]) -> dict[str, Any]:
    with table.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return {"format_version": 1, "made_with": dict(made_with), "blake2b": digest}
