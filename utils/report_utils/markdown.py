"""Tables in Markdown, for READMEs and reports."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]], texts: int = 1) -> str:
    """Write a table; the first `texts` columns are text, the others numbers, right-aligned."""
    rule = ["---" if number < texts else "---:" for number in range(len(columns))]
    lines = [[_cell(column) for column in columns], rule, *([_cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    """On one line, with a bar that ends no cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
