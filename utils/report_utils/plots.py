"""Plots as PNG files.

They use matplotlib's Figure and canvas, not pyplot, which needs a display on some machines and keeps every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.artefact_utils import replacing

_WIDTH_INCH, _HEIGHT_INCH, _DPI = 5.2, 3.8, 130


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
