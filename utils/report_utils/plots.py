"""Plots as PNG files.

They use matplotlib's Figure and canvas, not pyplot, which needs a display on some machines and keeps every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import replacing

_WIDTH_INCH, _HEIGHT_INCH, _DPI = 5.2, 3.8, 130
# A confusion matrix: size of a cell with and without its count, largest side of all cells, and the largest number of
# labels with which counts and labels are still readable.
_CELL_INCH, _SMALL_CELL_INCH, _MOST_INCH, _MOST_NUMBERS, _MOST_LABELS = 0.32, 0.17, 14.0, 30, 100


class Panel(NamedTuple):
    """One set of axes, with a line for each name over the epochs."""

    title: str
    lines: Mapping[str, Sequence[float]]


def plot_curves(path: Path, title: str, epochs: Sequence[int], panels: Sequence[Panel], chosen: int) -> None:
    """Plot a row of panels over epochs; write the PNG complete or not at all.

    Args:
        path: the PNG.
        title: above all panels.
        epochs: x of every line.
        panels: those without lines are left out.
        chosen: the epoch of the checkpoint; it is marked.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    shown = [panel for panel in panels if panel.lines]
    figure = Figure(figsize=(_WIDTH_INCH * len(shown), _HEIGHT_INCH), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for name, values in panel.lines.items():
            axes.plot(epochs, values, label=name, marker="o" if len(epochs) < 25 else None, markersize=3)
        axes.axvline(chosen, color="0.6", linestyle="--", linewidth=1, label=f"checkpoint: epoch {chosen}")
        axes.set(title=panel.title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, framealpha=0.7)
    figure.suptitle(title, fontsize=10)
    FigureCanvasAgg(figure)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=_DPI)


def plot_confusion(path: Path, title: str, labels: Sequence[str], counts: NDArray[np.int64]) -> None:
    """Plot a confusion matrix; write the PNG complete or not at all.

    The colour of a cell is its share of the row, since classes may differ in size. Counts are written into the cells
    of up to 30 labels; the labels themselves are shown if there are up to 100.

    Args:
        path: the PNG.
        title: above the matrix.
        labels: of the K rows and columns.
        counts: (K, K) clips by right label (rows) and predicted label (columns); a row may be empty.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = _CELL_INCH if len(labels) <= _MOST_NUMBERS else _SMALL_CELL_INCH
    side = min(_MOST_INCH, max(_HEIGHT_INCH, cell * len(labels)))
    figure = Figure(figsize=(side + 2.4, side + 1.6), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8, aspect=30)
    axes.set(xlabel="predicted label", ylabel="right label")
    places = range(len(labels)) if len(labels) <= _MOST_LABELS else []
    size = 8 if len(labels) <= _MOST_NUMBERS else 6
    axes.set_xticks(places, [labels[n] for n in places], rotation=90, fontsize=size)
    axes.set_yticks(places, [labels[n] for n in places], fontsize=size)
    if len(labels) <= _MOST_NUMBERS:
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=7, color=colour)
    figure.suptitle(title, fontsize=10)
    FigureCanvasAgg(figure)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=_DPI)
