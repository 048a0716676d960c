"""Bar charts as inline SVG, which the colours of a page reach; no plotting library is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_HEIGHT, _LEFT, _RIGHT, _TOP = 246, 58, 12, 12
_PLOT_HEIGHT = 180
_LEAST_WIDTH = 460  # px; smaller charts would be blown up on a page
_BAR, _GAP = 22, 14  # px, of a bar and between groups of bars
_LETTER = 7.2  # px, about the width of a letter at 13 px
_COLOURS = 4  # as page.css has them


@dataclass(frozen=True)
class BarChart:
    """Groups of bars side by side, each bar with a tooltip.

    Attributes:
        labels: of the groups, along x.
        series: name -> a finite value >= 0 for each label; at most four series. With several, a legend names them.
        title: what the picture shows; for readers who cannot see it.
        x_label: of the axis.
        y_label: of the axis.
        marks: name -> a value for each label, drawn as a line over the group; such as what chance gives.

    Raises:
        ValueError: nothing to draw, series of another length than the labels, or a value that no bar can show.
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
        """The SVG; the same for every folder."""
        top = max(max(values) for values in [*self.series.values(), *(self.marks or {}).values()])
        ticks = nice_ticks(top)
        group = _group_width(len(self.series), self.labels, len(self.labels))
        width = round(_LEFT + group * len(self.labels) + _RIGHT)
        legend = [*self.series, *(self.marks or {})] if len(self.series) > 1 or self.marks else []
        height = _HEIGHT + (22 if legend else 0)
        style = f"min-width:{round(width * 0.75)}px;max-width:{round(width * 1.15)}px"  # letters stay readable
        parts = [
            f'<svg viewBox="0 0 {width} {height}" style="{style}" role="img" aria-label="{escape(self.title)}">',
            *_axes(ticks, width, self.x_label, self.y_label),
            *(part for number in range(len(self.labels)) for part in self._group(number, group, ticks[-1])),
            *self._legend(legend),
            "</svg>",
        ]
        return "".join(parts)

    def _group(self, number: int, group: float, top: float) -> list[str]:
        """The bars, marks and label of one group."""
        left = _LEFT + number * group
        room = group - _GAP
        bar = room / len(self.series)
        label = self.labels[number]
        parts = []
        for n, (name, values) in enumerate(self.series.items()):
            height = _PLOT_HEIGHT * values[number] / top
            tip = escape(f"{label}: {name} {_short(values[number])}")
            x, y = left + _GAP / 2 + n * bar, _TOP + _PLOT_HEIGHT - height
            shape = f'x="{x:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" height="{height:.1f}"'
            parts.append(f'<rect class="s{n}" {shape}><title>{tip}</title></rect>')
        for name, values in (self.marks or {}).items():
            y = _TOP + _PLOT_HEIGHT * (1 - values[number] / top)
            tip = escape(f"{label}: {name} {_short(values[number])}")
            line = f'x1="{left + 3:.1f}" x2="{left + group - 3:.1f}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line class="mark" {line}><title>{tip}</title></line>')
        x, y = left + group / 2, _TOP + _PLOT_HEIGHT + 20
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{escape(label)}</text>')
        return parts

    def _legend(self, names: Sequence[str]) -> list[str]:
        parts, x, y = [], float(_LEFT), _HEIGHT + 4
        for n, name in enumerate(names):
            if n < len(self.series):
                parts.append(f'<rect class="s{n}" x="{x:.1f}" y="{y}" width="12" height="12"></rect>')
            else:
                parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x + 12:.1f}" y1="{y + 6}" y2="{y + 6}"></line>')
            parts.append(f'<text x="{x + 18:.1f}" y="{y + 11}">{escape(name)}</text>')
            x += 18 + _LETTER * len(name) + 20
        return parts


def nice_ticks(top: float) -> list[float]:
    """Three to six round numbers from 0 to at least `top`, in steps of 1, 2 or 5 times a power of ten."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = next(m * power for m in (1, 2, 5, 10) if top / (m * power) <= 5)
    return [n * step for n in range(math.ceil(top / step - 1e-9) + 1)]


def _group_width(bars: int, labels: Sequence[str], groups: int) -> float:
    widest = max(len(label) for label in labels) * _LETTER + 8
    return max(bars * _BAR + _GAP, widest, (_LEAST_WIDTH - _LEFT - _RIGHT) / groups)


def _axes(ticks: Sequence[float], width: int, x_label: str, y_label: str) -> list[str]:
    """The lines and numbers of y, and the names of both axes."""
    bottom = _TOP + _PLOT_HEIGHT
    parts = []
    for tick in ticks:
        y = bottom - _PLOT_HEIGHT * tick / ticks[-1]
        kind = "axis" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"></line>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4.5:.1f}" text-anchor="end">{_short(tick)}</text>')
    middle = (_LEFT + width - _RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 46}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'transform="translate(13 {_TOP + _PLOT_HEIGHT / 2:.0f}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escape(y_label)}</text>')
    return parts


def _short(value: float) -> str:
    """A number without needless digits: 12, 0.25, 0.00013, 12346."""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
