"""Tables and progress bars on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Literal

from tqdm import tqdm

from utils.cli_utils import behind, printable, showable

# A terminal overwrites the last state of the bar, but a log file gets a new line for each.
_LOG_INTERVAL_S = 15.0


def progress_bar(total: int | None, title: str, unit: str, **settings: Any) -> tqdm[Any]:
    """Return a tqdm bar on stderr; in a log file it writes a line every 15 s.

    Args:
        total: number of steps; None: unknown.
        title: shown before the bar.
        unit: of a step.
        settings: of tqdm, such as `iterable`; without one, call `update`.
    """
    interval_s = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S
    return tqdm(
        total=total,
        desc=printable(title),
        unit=unit,
        mininterval=interval_s,
        maxinterval=max(10.0, interval_s),
        **settings,
    )


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], texts: int = 1, wrapped: int = 1
) -> None:
    """Print a table; the first `texts` columns are text, the others numbers, right-aligned.

    Of several text columns only the `wrapped` ones after the first are broken into lines, between words, where there is
    little room.
    Characters that the terminal cannot show are escaped first, since escapes are wider than what they replace.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=behind(sys.stdout))

    def shown(text: str) -> str:
        return showable(printable(text), console.encoding)

    table = Table()
    # rich itself writes "…" into cells that are too long, which `shown` cannot escape.
    overflow: Literal["ellipsis", "fold"] = "ellipsis" if shown("…") == "…" else "fold"
    for number, column in enumerate(columns):
        side: Literal["left", "right"] = "left" if number < texts else "right"
        words = any(" " in str(row[number]) for row in rows)
        no_wrap = texts > 1 and not (words and 1 <= number <= wrapped)
        table.add_column(Text(shown(column)), justify=side, no_wrap=no_wrap, overflow=overflow)
    for row in rows:
        table.add_row(*(Text(shown(str(value))) for value in row))  # Text: rich takes '[dog]' in a str for markup
    console.print(f"\n{shown(title)}", style="bold", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
