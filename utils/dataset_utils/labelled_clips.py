"""Clips with labels: ESC-50's table, or a plain CSV `file_name,label`.

ESC     filename, category; also target, fold, esc10, src_file, ...: one label a clip
plain   file_name, label: one label, or several with `;` between them; further columns as in ESC, or any others
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils.csv_rows import check_columns, strict_rows
from utils.cli_utils import UserError

SEVERAL = ";"
# Columns with a meaning of their own; ESC's `take` numbers the cuts of one recording.
_USED = ("target", "src_file")
_KNOWN = (*_USED, "fold", "esc10", "take")
_SHOWN = 5  # values that a message names


class _Layout(NamedTuple):
    """Which columns hold the clip and its label."""

    file: str
    label: str
    several: bool


_LAYOUTS = (_Layout("filename", "category", False), _Layout("file_name", "label", True))


@dataclass(frozen=True)
class LabelledClips:
    """N clips, and the K labels that they may have.

    Attributes:
        names: file name of each clip, as the table spells it; each once.
        label_sets: the labels of each clip, at least one.
        labels: the K labels, in the order of `target` where the table has it, else of the alphabet.
        sources: the recording that each clip is cut from (`src_file`); where the table has none, the clip itself.
        notes: what the user should know of the table, one line each.
    """

    names: tuple[str, ...]
    label_sets: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, kept: NDArray[np.bool_]) -> LabelledClips:
        """Return some of the clips, with all labels of the table."""
        rows = np.flatnonzero(kept).tolist()
        columns = {key: tuple(getattr(self, key)[row] for row in rows) for key in ("names", "label_sets", "sources")}
        return replace(self, **columns)

    def with_labels(self, labels: Sequence[str], source: str) -> LabelledClips:
        """The same clips among other labels: all that they have, in any order, and perhaps more.

        Raises:
            UserError: a clip has another label, or one occurs twice.
        """
        missing = [label for label in self.labels if label not in set(labels)]
        if missing:
            raise UserError(f"{source}: lacks {_some(missing)}, which clips have; add what is missing")
        twice = [label for number, label in enumerate(labels) if label in labels[:number]]
        if twice:
            raise UserError(f"{source}: label '{twice[0]}' occurs twice; keep one")
        return replace(self, labels=tuple(labels))

    def truth(self) -> NDArray[np.bool_]:
        """(N, K) which labels are right."""
        column = {label: number for number, label in enumerate(self.labels)}
        truth = np.zeros((len(self), len(self.labels)), np.bool_)
        pairs = [(row, column[label]) for row, labels in enumerate(self.label_sets) for label in labels]
        truth[tuple(np.array(pairs, np.int64).reshape(-1, 2).T)] = True
        return truth

    def clusters(self) -> NDArray[np.int64]:
        """(N,) number of the recording of each clip."""
        return np.unique(self.sources, return_inverse=True)[1].astype(np.int64)


def read_labelled_clips(path: Path, where: Mapping[str, AbstractSet[str]] | None = None) -> LabelledClips:
    """The clips of a table.

    Args:
        path: the CSV.
        where: column -> values; rows that have another value in one of them are skipped. Case does not matter.
    Raises:
        UserError: no such file, not a CSV of either layout, a column that is not there, a clip with different labels,
            a label with different targets, or no row left.
    """
    columns, rows = _read(path)
    layout = next((known for known in _LAYOUTS if {known.file, known.label} <= set(columns)), None)
    if layout is None:
        wanted = " or ".join(f"{known.file}, {known.label}" for known in _LAYOUTS)
        raise UserError(f"{path}: found the columns {', '.join(columns)}, expected {wanted}; correct the first line")
    chosen = _filtered(path, columns, rows, where or {})
    notes = _unused(path, columns, layout, where or {})
    first, repeated, bare = _clips(path, chosen, layout)
    if repeated:
        notes.append(f"{path.name}: {repeated} rows repeat a clip with the same labels; each clip counts once")
    if bare:
        notes.append(f"{path.name}: {len(bare)} rows without a file name or a label are left out: lines {_some(bare)}")
    if not first:
        raise UserError(f"{path}: no row with a file name and a label; add clips")
    label_sets = {name: _labels_of(row, layout) for name, row in first.items()}
    return LabelledClips(
        names=tuple(first),
        label_sets=tuple(label_sets.values()),
        labels=_ordered(path, first, label_sets),
        sources=tuple(row.get("src_file", "").strip() or name for name, row in first.items()),
        notes=tuple(notes),
    )


_Row = dict[str, str]


def _read(path: Path) -> tuple[list[str], list[tuple[int, _Row]]]:
    """The columns, and each row with its line; cells that are missing at a row's end are empty."""
    table = list(strict_rows(path))
    if not table:
        raise UserError(f"{path}: is empty; expected a CSV with file names and labels")
    columns = [column.strip() for column in table[0][1]]
    check_columns(path, columns)
    for line, cells in table[1:]:
        if len(cells) > len(columns):
            raise UserError(
                f"{path}, line {line}: {len(cells)} fields, the header has {len(columns)}; put a label with commas in "
                f"quotes, and '{SEVERAL}' between several labels"
            )
    padded = [(line, [*cells, *[""] * (len(columns) - len(cells))]) for line, cells in table[1:]]
    return columns, [(line, dict(zip(columns, cells, strict=True))) for line, cells in padded]


def _filtered(
    path: Path, columns: Sequence[str], rows: list[tuple[int, _Row]], where: Mapping[str, AbstractSet[str]]
) -> list[tuple[int, _Row]]:
    for column, values in where.items():
        if column not in columns:
            raise UserError(f"{path}: has no column '{column}' to choose by, only {', '.join(columns)}; name one")
        wanted = {value.strip().casefold() for value in values}
        left = [(line, row) for line, row in rows if row[column].strip().casefold() in wanted]
        if not left:
            found = sorted({row[column].strip() for _, row in rows})
            raise UserError(
                f"{path}: no row has {column} = {' or '.join(sorted(values))}; found {_some(found)}; choose one"
            )
        rows = left
    return rows


def _unused(path: Path, columns: Sequence[str], layout: _Layout, where: Mapping[str, AbstractSet[str]]) -> list[str]:
    unknown = [c for c in columns if c not in (layout.file, layout.label, *_KNOWN) and c not in where]
    return [f"{path.name}: columns that are not used: {', '.join(unknown)}"] if unknown else []


def _clips(path: Path, rows: list[tuple[int, _Row]], layout: _Layout) -> tuple[dict[str, _Row], int, list[str]]:
    """The first row of each clip, how many repeat one, and the lines that name no clip or no label.

    Raises:
        UserError: two rows of a clip differ in their labels.
    """
    first: dict[str, _Row] = {}
    lines: dict[str, int] = {}
    repeated, bare = 0, []
    for line, row in rows:
        name, labels = row[layout.file].strip(), _labels_of(row, layout)
        if not name or not labels:
            bare.append(str(line))
        elif name not in first:
            first[name], lines[name] = row, line
        elif set(labels) == set(_labels_of(first[name], layout)):
            repeated += 1
        else:
            join = f"; write several labels in one row, with '{SEVERAL}' between them" if layout.several else ""
            raise UserError(
                f"{path}, line {line}: '{name}' is {row[layout.label]}, line {lines[name]} says "
                f"{first[name][layout.label]}{join or '; keep one'}"
            )
    return first, repeated, bare


def _labels_of(row: _Row, layout: _Layout) -> tuple[str, ...]:
    parts = row[layout.label].split(SEVERAL) if layout.several else [row[layout.label]]
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _ordered(path: Path, rows: Mapping[str, _Row], label_sets: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """All labels, by target or by alphabet.

    Raises:
        UserError: a label has two targets, or two labels share one.
    """
    labels = sorted({label for found in label_sets.values() for label in found})
    if not all(row.get("target", "").strip().isdecimal() for row in rows.values()):
        return tuple(labels)
    if any(len(found) > 1 for found in label_sets.values()):
        return tuple(labels)
    targets: dict[str, int] = {}
    owners: dict[int, str] = {}
    for name, row in rows.items():
        (label,), target = label_sets[name], int(row["target"])
        if targets.setdefault(label, target) != target or owners.setdefault(target, label) != label:
            raise UserError(
                f"{path}: '{name}' has label {label} and target {target}, an earlier row {label} = "
                f"{targets[label]}, {target} = {owners.get(target, label)}; expected one target for each label"
            )
    return tuple(sorted(labels, key=targets.__getitem__))


def _some(values: Sequence[str]) -> str:
    """The first few of them."""
    shown = ", ".join(values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
