"""Captions while they are written: hours of generation that are killed go on from the last batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.config_utils.json_files import parse_json


class CaptionParts:
    """Lines of JSON beside the table that is being written: what they are made with, then a batch each.

    Args:
        table: <split>_captions.csv.
        made_with: everything that a caption depends on, plain values; lines of other settings are not reused.
    """

    def __init__(self, table: Path, made_with: Mapping[str, Any]) -> None:
        text = json.dumps(dict(made_with), sort_keys=True)
        self._mark = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
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

    def remove(self) -> None:
        """Remove the lines: the table holds what they hold."""
        self._path.unlink(missing_ok=True)
