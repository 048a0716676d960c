"""Pictures of classification as PNG files: confusion matrix, reliability diagram, abstention curve."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import replacing

if TYPE_CHECKING:
    from utils.metric_utils.classification.abstention import AbstentionCurve
    from utils.metric_utils.classification.calibration import Reliability

_DPI = 130
_PANEL_INCH = 3.9
# A confusion matrix: size of a cell with its count, of up to so many labels; smallest and largest side of all cells;
# the largest number of labels whose names are still readable; letters of a name.
_CELLS = {30: 0.32, 50: 0.28}
_SMALL_CELL_INCH, _LEAST_INCH, _MOST_INCH, _MOST_LABELS, _LETTERS = 0.17, 2.6, 14.0, 100, 32
_LETTER_INCH = 0.075
_BLUE, _ORANGE = "#2f6fcb", "#d9822b"


def plot_confusion(path: Path, title: str, labels: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Plot a confusion matrix; write the PNG complete or not at all.

    The colour of a cell is its share of the row, since classes may differ in size. Counts are written into the cells
    of up to 50 labels; the labels themselves are shown if there are up to 100, long ones without their middle.

    Args:
        path: the PNG.
        title: above the matrix.
        labels: of the K rows and columns.
        counts: (K, K) clips by right label (rows) and predicted label (columns); a row may be empty.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = next((inch for most, inch in _CELLS.items() if len(labels) <= most), None)
    side = float(np.clip((cell or _SMALL_CELL_INCH) * len(labels), _LEAST_INCH, _MOST_INCH))
    names = _distinct(labels) if len(labels) <= _MOST_LABELS else []
    margin = 0.6 + _LETTER_INCH * max(map(len, names), default=0)
    # room for the names beside the cells: the layout would otherwise take it from the cells
    figure = _figure(side + margin + 1.3, side + margin + 0.6)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8, aspect=30)
    axes.set(xlabel="predicted class", ylabel="right class")
    size = 8 if len(labels) <= min(_CELLS) else 6
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)
    if cell is not None:
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            count = f"{counts[row, column]}"
            digits = 7 if len(count) < 4 else 5
            axes.text(column, row, count, ha="center", va="center", fontsize=digits, color=colour)
    _save(figure, path, title)


def plot_reliability(path: Path, title: str, tables: Mapping[str, Reliability]) -> None:
    """Plot the accuracy of each bin of confidence beside what it should be; write the PNG complete or not at all.

    A bar below the diagonal is of recordings that the system was too confident of. Below, how many there are in a bin:
    the accuracy of few says little.

    Args:
        path: the PNG.
        title: above all panels.
        tables: name -> table, a panel each, such as those before and after a temperature.
    """
    figure = _figure(_PANEL_INCH * len(tables), 5.2)
    grid = figure.subplots(2, len(tables), squeeze=False, sharex=True, sharey="row", height_ratios=[3, 1])
    for column, (name, table) in enumerate(tables.items()):
        above, below = grid[:, column]
        width, filled = table.high - table.low, table.recordings > 0
        middle = (table.low + table.high) / 2
        above.bar(middle[filled], table.accuracy[filled], 0.92 * width[filled], color=_BLUE, label="accuracy")
        above.plot(
            table.confidence[filled],
            table.confidence[filled],
            linestyle="none",
            marker="_",
            markersize=11,
            markeredgewidth=2,
            color=_ORANGE,
            label="mean confidence",
        )
        above.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1)
        above.set(xlim=(0, 1), ylim=(0, 1.02))
        above.set_title(f"{name}: ECE {table.error:.3f}", fontsize=10, parse_math=False)
        above.grid(alpha=0.25)
        below.bar(middle, table.recordings, 0.92 * width, color="0.6")
        below.set_xlabel("confidence")
        below.grid(alpha=0.25, axis="y")
    grid[0, 0].set_ylabel("accuracy")
    grid[0, 0].legend(fontsize=8, framealpha=0.8, loc="upper left")
    grid[1, 0].set_ylabel("recordings")
    _save(figure, path, title)


def plot_abstention(path: Path, title: str, curves: Mapping[str, AbstentionCurve]) -> None:
    """Plot the accuracy against the share of recordings that are answered; write the PNG complete or not at all.

    Args:
        path: the PNG.
        title: above the plot.
        curves: name -> curve, a line each.
    """
    figure = _figure(6.6, 4.2)
    axes = figure.subplots()
    for curve in curves.values():
        # from a share on that says something: the accuracy of three recordings is 0, 1/3, 2/3 or 1
        shown = curve.share >= min(0.05, curve.share[-1])
        marker = "o" if shown.sum() < 25 else None
        axes.plot(100 * curve.share[shown], curve.accuracy[shown], marker=marker, markersize=3)
    axes.set(xlabel="share of recordings answered, the most confident ones first (%)", ylabel="accuracy of these")
    axes.set(xlim=(0, 100.5))
    axes.set_ylim(top=1.01)
    axes.grid(alpha=0.25)
    names = [f"{shortened(name)} (all: {curve.accuracy[-1]:.3f})" for name, curve in curves.items()]
    legend = axes.legend(names, fontsize=8, framealpha=0.8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    _save(figure, path, title)


def shortened(name: str) -> str:
    """Return a name on one line, without the middle of a long one: its beginning and end tell similar ones apart."""
    name = " ".join(name.split())
    if len(name) <= _LETTERS:
        return name
    half = (_LETTERS - 3) // 2
    return f"{name[: _LETTERS - 3 - half].rstrip()}...{name[-half:].lstrip()}"


def _distinct(labels: Sequence[str]) -> list[str]:
    """Return shortened names; those that are then equal get the number of their row, from 1."""
    names = [shortened(label) for label in labels]
    return [name if names.count(name) == 1 else f"{number} {name}" for number, name in enumerate(names, 1)]


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # names from a list of videos hold dollars, between which matplotlib would read formulas
    figure.suptitle(title, fontsize=10, parse_math=False)
    FigureCanvasAgg(figure)
    with replacing(path) as beside, warnings.catch_warnings():
        # letters of scripts that the font lacks become boxes; tables and pages show them
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure.savefig(beside, format="png", dpi=_DPI)
