"""The figures as Markdown."""

import math
from collections.abc import Iterable, Sequence

from benchmarks.measure import Figure


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it can be read as it is; figures to the right."""
    cells = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in [cells[0], rule, *cells[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "| " + " | ".join([first, *rest]) + " |"


def number(value: float) -> str:
    """Return a figure with about three digits that mean something."""
    if math.isnan(value):
        return "-"
    if value >= 1000:
        digits = int(math.log10(value)) - 2
        return f"{round(value, -digits):,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure: Figure) -> str:
    """Return a median with the lowest and highest round behind it."""
    return f"{number(figure.median)} ({number(figure.low)} - {number(figure.high)})"
