"""A picture of what an autoencoder is given, and of what it makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import replacing

_WIDTH_INCH, _ROW_INCH, _DPI = 10.0, 1.9, 110
_TITLE_LETTERS = 60  # as many as fit above a picture


class Reconstruction(NamedTuple):
    """One window; both arrays have one shape."""

    title: str
    given: NDArray[np.float32]  # (T, F) log-mels, or a line: (S,) samples or (D,) features
    made: NDArray[np.float32]


def plot_reconstructions(path: Path, title: str, windows: Sequence[Reconstruction], x_label: str, y_label: str) -> None:
    """Plot a row for each window, input on the left and output on the right, in the same scale.

    Args:
        path: the PNG; it is written complete or not at all.
        title: above all rows.
        windows: at least one.
        x_label: of the horizontal axis, below the last row.
        y_label: of the vertical axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCH, 0.6 + _ROW_INCH * len(windows)), layout="constrained")
    rows = figure.subplots(len(windows), 2, squeeze=False, sharex="row", sharey="row")
    for axes, window in zip(rows, windows, strict=True):
        for place, values in zip(axes, (window.given, window.made), strict=True):
            if values.ndim == 2:
                low, high = float(window.given.min()), float(window.given.max())
                place.imshow(values.T, origin="lower", aspect="auto", interpolation="nearest", vmin=low, vmax=high)
            else:
                place.plot(values, linewidth=0.6)
        title_of_row = " ".join(window.title.split())
        if len(title_of_row) > _TITLE_LETTERS:
            title_of_row = f"{title_of_row[: _TITLE_LETTERS - 3]}..."
        # titles of music hold dollars, between which matplotlib would read formulas
        axes[0].set_title(title_of_row, fontsize=8, loc="left", parse_math=False)
        axes[0].set_ylabel(y_label)
    rows[0][1].set_title("output", fontsize=8, loc="left")
    for place in rows[-1]:
        place.set_xlabel(x_label)
    figure.suptitle(title, fontsize=10, parse_math=False)
    FigureCanvasAgg(figure)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=_DPI)
