"""Bar charts as inline SVG.

By hand, not with matplotlib: inline SVG takes its colours from the page's style sheet, and its bars have tooltips.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_HEIGHT, _LEFT, _RIGHT, _TOP = 246, 58, 12, 12
_PLOT_HEIGHT = 180
_LEAST_WIDTH = 460  # px; the page would enlarge smaller charts
_BAR, _GAP = 22, 14  # px, width of a bar, gap between groups of bars
_LETTER = 7.2  # px, about the width of a letter at 13 px
_COLOURS = 4  # number of colours of bars in page.css


@dataclass(frozen=True)
class BarChart:
    """Groups of bars side by side, each bar with a tooltip.

    Attributes:
        labels: of the groups, along x.
        series: name -> a finite value >= 0 for each label; at most four series. With several, there is a legend.
        title: for screen readers.
        x_label: label of the x-axis.
        y_label: label of the y-axis.
        marks: name -> a value for each label, drawn as a line across the group, such as the chance level.

    Raises:
        ValueError: no labels, too many series, a series with another length than the labels, or a bad value.
    """

    labels: Sequence[str]
    series: Mapping[str, Sequence[float]]
    title: str
    x_label: str = ""
    y_label: str = ""
    marks: Mapping[str, Sequence[float]] | None = None

    def __post_init__(self) -> None:
        if not self.labels or not 1 <= len(self.series) <= _COLOURS:
            found = f"{len(self.labels)} labels and {len(self.series)} series"
            raise ValueError(f"{found}; expected at least one label and 1 to {_COLOURS} series")
        for name, values in {**self.series, **(self.marks or {})}.items():
            if len(values) != len(self.labels):
                raise ValueError(f"'{name}' has {len(values)} values; expected one for each of {len(self.labels)}")
            bad = [value for value in values if not (math.isfinite(value) and value >= 0)]
            if bad:
                raise ValueError(f"'{name}' holds {bad[0]}; expected finite values >= 0")

    def html(self, folder: Path) -> str:
        """Return the SVG; it does not depend on the folder."""
        top = max(max(values) for values in [*self.series.values(), *(self.marks or {}).values()])
        ticks = nice_ticks(top)
        group = _group_width(len(self.series), self.labels, len(self.labels))
        width = round(_LEFT + group * len(self.labels) + _RIGHT)
        legend = [*self.series, *(self.marks or {})] if len(self.series) > 1 or self.marks else []
        height = _HEIGHT + (22 if legend else 0)
        # An SVG with a viewBox scales its letters too: the limits keep them readable.
        style = f"min-width:{round(width * 0.75)}px;max-width:{round(width * 1.15)}px"
        elements = [
            f'<svg viewBox="0 0 {width} {height}" style="{style}" role="img" aria-label="{escape(self.title)}">',
            *_axes(ticks, width, self.x_label, self.y_label),
            *(element for number in range(len(self.labels)) for element in self._group(number, group, ticks[-1])),
            *self._legend(legend),
            "</svg>",
        ]
        return "".join(elements)

    def _group(self, number: int, group: float, top: float) -> list[str]:
        """Return the bars, marks and label of one group."""
        left = _LEFT + number * group
        bar = (group - _GAP) / len(self.series)
        label = self.labels[number]
        elements = []
        for n, (name, values) in enumerate(self.series.items()):
            height = _PLOT_HEIGHT * values[number] / top
            tip = escape(f"{label}: {name} {_short(values[number])}")
            x, y = left + _GAP / 2 + n * bar, _TOP + _PLOT_HEIGHT - height
            shape = f'x="{x:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" height="{height:.1f}"'
            elements.append(f'<rect class="s{n}" {shape}><title>{tip}</title></rect>')
        for name, values in (self.marks or {}).items():
            y = _TOP + _PLOT_HEIGHT * (1 - values[number] / top)
            tip = escape(f"{label}: {name} {_short(values[number])}")
            line = f'x1="{left + 3:.1f}" x2="{left + group - 3:.1f}" y1="{y:.1f}" y2="{y:.1f}"'
            elements.append(f'<line class="mark" {line}><title>{tip}</title></line>')
        x, y = left + group / 2, _TOP + _PLOT_HEIGHT + 20
        elements.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(label)}</text>')
        return elements

    def _legend(self, names: Sequence[str]) -> list[str]:
        elements, x, y = [], float(_LEFT), _HEIGHT + 4
        for n, name in enumerate(names):
            if n < len(self.series):
                elements.append(f'<rect class="s{n}" x="{x:.1f}" y="{y}" width="12" height="12"></rect>')
            else:
                elements.append(f'<line class="mark" x1="{x:.1f}" x2="{x + 12:.1f}" y1="{y + 6}" y2="{y + 6}"></line>')
            elements.append(f'<text x="{x + 18:.1f}" y="{y + 11}">{escape(name)}</text>')
            x += 18 + _LETTER * len(name) + 20
        return elements


def nice_ticks(top: float) -> list[float]:
    """Return three to six round numbers from 0 to at least `top`, in steps of 1, 2 or 5 times a power of ten."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = next(m * power for m in (1, 2, 5, 10) if top / (m * power) <= 5)
    return [n * step for n in range(math.ceil(top / step - 1e-9) + 1)]


def _group_width(bars: int, labels: Sequence[str], groups: int) -> float:
    widest = max(len(label) for label in labels) * _LETTER + 8
    return max(bars * _BAR + _GAP, widest, (_LEAST_WIDTH - _LEFT - _RIGHT) / groups)


def _axes(ticks: Sequence[float], width: int, x_label: str, y_label: str) -> list[str]:
    """Return the grid and the ticks of y, and the labels of both axes."""
    bottom = _TOP + _PLOT_HEIGHT
    elements = []
    for tick in ticks:
        y = bottom - _PLOT_HEIGHT * tick / ticks[-1]
        kind = "axis" if tick == 0 else "grid"
        elements.append(f'<line class="{kind}" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"></line>')
        elements.append(f'<text x="{_LEFT - 6}" y="{y + 4.5:.1f}" text-anchor="end">{_short(tick)}</text>')
    middle = (_LEFT + width - _RIGHT) / 2
    elements.append(f'<text x="{middle:.1f}" y="{bottom + 46}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="translate(13 {_TOP + _PLOT_HEIGHT / 2:.0f}) rotate(-90)"'
    elements.append(f'<text {turned} text-anchor="middle">{escape(y_label)}</text>')
    return elements


def _short(value: float) -> str:
    """Write a number without needless digits: 12, 0.25, 0.00013, 12346."""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
