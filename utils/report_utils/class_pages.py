"""The page of a classifier: systems beside each other, classes, pictures, and its errors to listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from utils.report_utils.pages import (
    Cell,
    Content,
    Figure,
    Grid,
    Note,
    Number,
    Page,
    Paragraph,
    Player,
    Table,
    Thumbnail,
)

if TYPE_CHECKING:
    from utils.metric_utils.classification.counts import ClassCounts
    from utils.metric_utils.intervals import Interval

CLASS_COLUMNS = ("class", "precision", "recall", "F1", "recordings")
_PICTURE_PX, _PLAYER_PX = 900, 300
_SYSTEMS_NOTE = (
    "Higher is better, except of ece (expected calibration error; ece_calibrated: with a temperature fitted on "
    "validation). In brackets: 95 % intervals by resampling the recordings, those of a channel together."
)
_ERRORS_NOTE = (
    "The recordings whose wrong class has the highest probability. Some may be labelled wrongly themselves: listen."
)


class SystemScores(NamedTuple):
    """The metrics of one system on the same recordings as the others."""

    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]  # of some of the metrics


class WrongRecording(NamedTuple):
    """A recording of which the system is sure, and wrong."""

    title: str
    line: str  # such as its channel; empty: there is none
    file: Path
    right: str
    predicted: str
    probability: float  # of the predicted class
    probability_of_right: float


def class_rows(classes: Sequence[str], counts: ClassCounts) -> list[list[str | float | int | None]]:
    """Return a row of `CLASS_COLUMNS` for each class; None where a metric is not defined."""
    columns = (counts.precision, counts.recall, counts.f1)
    metrics = [[None if np.isnan(value) else float(value) for value in row] for row in zip(*columns, strict=True)]
    return [[name, *row, int(n)] for name, row, n in zip(classes, metrics, counts.support, strict=True)]


def classification_page(
    title: str,
    subtitle: str,
    systems: Mapping[str, SystemScores],
    classes: Sequence[Sequence[Cell]],
    pictures: Mapping[str, Path],
    errors: Sequence[WrongRecording],
) -> Page:
    """Build the page.

    Args:
        title: of the page.
        subtitle: which system, of which split.
        systems: name -> metrics, all with the same keys; a row each.
        classes: see `class_rows`.
        pictures: caption -> PNG.
        errors: the most confident ones first; empty: there are none.
    """
    page = Page(title, subtitle)
    names = list(dict.fromkeys(key for system in systems.values() for key in system.metrics))
    rows = [[name, *(_cell(system, key) for key in names)] for name, system in systems.items()]
    page.section("Systems", Table(["system", *names], rows), Note(_SYSTEMS_NOTE))
    page.section("Most confident errors", *_players(errors))
    page.section("Classes", Table(list(CLASS_COLUMNS), classes, decimals=3))
    if pictures:
        figures = [Figure(Thumbnail(path, caption, _PICTURE_PX), caption) for caption, path in pictures.items()]
        page.section("Pictures", *figures)
    return page


def _cell(system: SystemScores, key: str) -> Cell:
    value = system.metrics.get(key)
    if value is None:
        return None
    interval = system.intervals.get(key)
    between = "" if interval is None else f" [{interval.low:.3f}, {interval.high:.3f}]"
    return Number(value, f"{value:.3f}{between}")


def _players(errors: Sequence[WrongRecording]) -> list[Note | Grid]:
    if not errors:
        return [Note("Every recording is classified rightly.")]
    return [Note(_ERRORS_NOTE), Grid([_player(error) for error in errors], _PLAYER_PX)]


def _player(error: WrongRecording) -> Player:
    below: list[Content] = [
        Paragraph([f"predicted: {error.predicted} ({_percent(error.probability)})"]),
        Paragraph([f"right: {error.right} ({_percent(error.probability_of_right)})"]),
        error.title,
    ]
    if error.line:
        below.append(Paragraph([error.line], quiet=True))
    return Player(error.file, below)


def _percent(share: float) -> str:
    """Write a probability so that 0 % and 100 % are said of nothing that is not."""
    if 0 < share < 0.01:
        return "below 1 %"
    return "above 99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")
