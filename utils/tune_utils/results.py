"""What trials have reported: a row an epoch, in result.json and progress.csv of each trial's folder.

The driver writes a row as it arrives, straight into the folder, so that a kill loses none. The rows are numbered in
order of arrival over all trials: early stopping decides by that order, and a resumed search goes through it again.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from utils.artefact_utils.atomic import replacing
from utils.cli_utils import ArtefactError
from utils.model_utils.checkpoints import read_facts
from utils.model_utils.trials import HISTORY_FILE, checkpoint_folders, read_rows

PROGRESS_FILE = "progress.csv"
ARRIVAL = "arrival"

Row = dict[str, Any]


class Reported(NamedTuple):
    """One epoch of one trial."""

    trial: str
    row: Row


class Results:
    """The rows of all trials of an experiment.

    Args:
        folder: runs/<experiment>.
        arrived: how many rows there are.
    """

    def __init__(self, folder: Path, arrived: int = 0) -> None:
        self._folder = folder
        self._arrived = arrived
        self._rows: dict[str, dict[int, Row]] = {}  # of the trials that run

    def add(self, trial: str, metrics: Mapping[str, Any]) -> None:
        """Write down what a trial has reported; an epoch that is repeated takes the place of its earlier row."""
        if trial not in self._rows:
            self._rows[trial] = read_rows(self._folder / trial)
        rows, epoch = self._rows[trial], int(metrics["epoch"])
        if epoch not in rows:
            self._arrived += 1
        # a repeated epoch has its old place in the order of all reports: early stopping replays them in it
        arrival = rows.get(epoch, {}).get(ARRIVAL, self._arrived)
        row = {**metrics, ARRIVAL: arrival, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        follows = all(known < epoch and _columns([old]) == _columns([row]) for known, old in list(rows.items())[-1:])
        rows[epoch] = row
        if follows and len(rows) > 1:
            _append(self._folder / trial / HISTORY_FILE, json.dumps(row) + "\n")
            _append(self._folder / trial / PROGRESS_FILE, _csv([row], _columns([row]), header=False))
        else:
            _write(self._folder / trial, rows)

    def forget(self, trial: str) -> None:
        """Let go of the rows of a trial that has ended; they stay on disk."""
        self._rows.pop(trial, None)


def repair_rows(folder: Path, trials: Iterable[str]) -> list[Reported]:
    """Make the rows of every trial whole after a kill.

    A truncated line is dropped. An epoch that has a checkpoint, but no row yet, takes its row from the
    checkpoint. Rows of an earlier version of this program are numbered by their time.

    Returns:
        All rows in order of arrival.
    """
    rows = {trial: read_rows(folder / trial) for trial in trials if (folder / trial).is_dir()}
    late: list[tuple[float, Reported]] = []
    for trial, known in rows.items():
        late += [(time, Reported(trial, row)) for time, row in _only_in_checkpoints(folder / trial, known)]
    arrived = [Reported(trial, row) for trial, known in rows.items() for row in known.values()]
    order = sorted(arrived, key=_arrival) + [reported for _, reported in sorted(late, key=lambda item: item[0])]
    for trial, row in (reported for _, reported in late):
        rows[trial][int(row["epoch"])] = row
    for place, (_, row) in enumerate(order, 1):
        row[ARRIVAL] = place
    for trial, known in rows.items():
        if known:
            _write(folder / trial, {epoch: known[epoch] for epoch in sorted(known)})
    return order


def number(row: Mapping[str, Any], key: str) -> float | None:
    """A finite number of a row, or NaN; None where there is none."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return None if math.isinf(value) else float(value)
    except OverflowError:
        return None


def _arrival(reported: Reported) -> tuple[float, float]:
    place = number(reported.row, ARRIVAL)
    return (0, number(reported.row, "timestamp") or 0) if place is None else (1, place)


def _only_in_checkpoints(trial: Path, known: Mapping[int, Row]) -> list[tuple[float, Row]]:
    found = []
    for checkpoint in checkpoint_folders(trial):
        try:
            facts = read_facts(checkpoint)
        except ArtefactError:  # the trial itself reports it when it restores
            continue
        if facts.epoch not in known and number(facts.metrics, "epoch") == facts.epoch:
            written = datetime.fromtimestamp(checkpoint.stat().st_mtime, UTC)
            found.append((written.timestamp(), {**facts.metrics, "time": written.isoformat(timespec="seconds")}))
    return found


def _columns(rows: Iterable[Row]) -> list[str]:
    """The columns of progress.csv: everything but the settings, which an earlier version repeated in every row."""
    return list(dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, dict | list)))


def _write(trial: Path, rows: Mapping[int, Row]) -> None:
    columns = _columns(rows.values())
    with replacing(trial / HISTORY_FILE) as beside:
        beside.write_text("".join(json.dumps(row) + "\n" for row in rows.values()), encoding="utf-8")
    with replacing(trial / PROGRESS_FILE) as beside:
        beside.write_text(_csv(rows.values(), columns, header=True), encoding="utf-8", newline="")


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as stream:
        stream.write(text)


def _csv(rows: Iterable[Row], columns: list[str], *, header: bool) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
