"""Maps of many dimensions in two, as PNG: near points have similar embeddings, colours are labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.artefact_utils import replacing

_SIDE_INCH, _LEGEND_INCH, _DPI = 5.0, 1.8, 130
# Neighbours that t-SNE takes into account; it needs three times as many points.
_PERPLEXITY, LEAST_POINTS = 30.0, 5
_OTHER = "other, or unknown"
# matplotlib's palettes: pairs of dark and pale colours are for more labels than there are plain colours
_PLAIN, _COLOURS = 10, 20


class MapPanel(NamedTuple):
    """One map."""

    title: str
    points: NDArray[np.float32]  # (N, 2)


def map_points(embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Place embeddings in two dimensions by t-SNE; the same numbers give the same map.

    Distances within a map say which tracks are near each other, those between groups say little.

    Args:
        embeddings: (N, E), N at least 5.
    Returns:
        (N, 2) float32.
    Raises:
        ValueError: fewer embeddings.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008.
    """
    if len(embeddings) < LEAST_POINTS:
        raise ValueError(f"{len(embeddings)} embeddings; expected at least {LEAST_POINTS} for a map")
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    # PCA as a start holds far groups in place, and needs two dimensions
    start = "pca" if embeddings.shape[1] > 1 else "random"
    method = TSNE(perplexity=perplexity, init=start, random_state=0, n_jobs=1)
    return np.asarray(method.fit_transform(np.asarray(embeddings, np.float32)), np.float32)


def plot_maps(path: Path, title: str, panels: Sequence[MapPanel], labels: Sequence[str]) -> None:
    """Plot maps of the same N tracks side by side; write the PNG complete or not at all.

    Args:
        path: the PNG.
        title: above all maps.
        panels: the maps.
        labels: (N,) of the points, "" where it is unknown; the 20 most frequent ones get a colour each.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, counts = np.unique([label for label in labels if label] or [""], return_counts=True)
    coloured = sorted(names[np.argsort(-counts, kind="stable")][:_COLOURS])
    palette = colormaps["tab10" if len(coloured) <= _PLAIN else "tab20"]
    colours = dict(zip(coloured, palette.colors, strict=False))  # type: ignore[attr-defined]
    width = _SIDE_INCH * len(panels) + _LEGEND_INCH
    figure = Figure(figsize=(width, _SIDE_INCH + 0.4), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    of_point = np.array([label if label in colours and label else _OTHER for label in labels])
    for axes, panel in zip(all_axes, panels, strict=True):
        for name in [_OTHER, *coloured]:
            x, y = panel.points[of_point == name].T
            colour = "0.75" if name == _OTHER else colours[name]
            axes.scatter(x, y, s=12, color=colour, label=_as_text(name) if len(x) else None, linewidths=0)
        axes.set_title(panel.title, parse_math=False)
        axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    handles, shown = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, shown, loc="outside right upper", fontsize=8, markerscale=1.5)
    figure.suptitle(title, fontsize=10, parse_math=False)
    FigureCanvasAgg(figure)
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=_DPI)


def _as_text(label: str) -> str:
    """A label of a legend, in which dollars begin no formula."""
    return label.replace("$", r"\$")
