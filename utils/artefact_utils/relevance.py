"""Which clips are relevant to which query, as DCASE 2025 task 6 gives it: metadata_eval.csv."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils.csv_rows import strict_rows
from utils.cli_utils import ArtefactError

_NEEDED = ("query", "audio_filenames")
_GAINS = "relevances"


class RelevanceList(NamedTuple):
    """A query and its relevant clips."""

    query: str  # as the file spells it
    filenames: tuple[str, ...]  # at least one, none twice
    gains: tuple[float, ...]  # of each, above 0; 1.0 where relevance is not graded


def read_relevance(path: Path) -> list[RelevanceList]:
    """The relevant clips of every query, in the order of the file.

    The columns are `query`, `audio_filenames` (a Python list of names) and, for graded relevance, `relevances` (a list
    of as many numbers above 0); others are passed over.

    Raises:
        ArtefactError: the file is missing or no such table; the message names the line.
    Source: DCASE 2025 task 6, metadata_eval.csv of the evaluation split of Clotho.
    """
    rows = strict_rows(path)
    line, header = next(rows, (1, []))
    missing = [name for name in _NEEDED if name not in header]
    if missing:
        found = ", ".join(header) or "nothing"
        raise ArtefactError(f"{path}, line {line}: column {', '.join(missing)} is missing, found {found}; add it")
    lists = []
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise ArtefactError(f"{where}: {len(cells)} cells, expected {len(header)}; quote cells that hold a comma")
        lists.append(_relevance_list(dict(zip(header, cells, strict=True)), where))
    if not lists:
        raise ArtefactError(f"{path}: holds no queries, only a header; add queries")
    return lists


def _relevance_list(row: dict[str, str], where: str) -> RelevanceList:
    if not row["query"].strip():
        raise ArtefactError(f"{where}: query is empty, expected a text; remove the line, or write the query")
    names = _python_list(row["audio_filenames"], f"{where}: audio_filenames", "['a.wav', 'b.wav']")
    filenames = tuple(name for name in names if isinstance(name, str) and name.strip())
    if len(filenames) < len(names):
        strange = next(name for name in names if name not in filenames)
        raise ArtefactError(f"{where}: audio_filenames holds {strange!r}, expected file names; correct it")
    if not filenames:
        raise ArtefactError(f"{where}: audio_filenames is empty, expected at least one file; remove the line")
    twice = next((name for number, name in enumerate(filenames) if name in filenames[:number]), None)
    if twice is not None:
        raise ArtefactError(f"{where}: audio_filenames names '{twice}' twice; remove one")
    gains = tuple(1.0 for _ in filenames)
    if _GAINS in row:
        gains = _gains(_python_list(row[_GAINS], f"{where}: {_GAINS}", "[1.0, 0.5]"), len(filenames), where)
    return RelevanceList(row["query"], filenames, gains)


def _python_list(text: str, what: str, example: str) -> list[object]:
    """A list literal; nothing is executed."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise ArtefactError(f"{what} is {_shortened(text)!r}, expected a Python list such as {example}; correct it")
    return value


def _gains(values: list[object], expected: int, where: str) -> tuple[float, ...]:
    if len(values) != expected:
        raise ArtefactError(f"{where}: {_GAINS} holds {len(values)} numbers for {expected} files; give one a file")
    gains: list[float] = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ArtefactError(
                f"{where}: {_GAINS} holds {value!r}, expected numbers above 0; leave files out that are not relevant"
            )
        gains.append(float(value))
    return tuple(gains)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
