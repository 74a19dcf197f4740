"""Aligned columns that fit the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .terminal import Terminal
from .text import clean, pad, width

GAP = "  "
_NARROWEST = 8


@dataclass(frozen=True)
class Column:
    """One column: its heading, which side it leans to, and what cuts it when the line is too long.

    It is cut below `least` only when nothing else helps.
    """

    heading: str
    right: bool = False
    cut: Callable[[str, int], str] | None = None
    least: int = _NARROWEST


@dataclass(frozen=True)
class Cell:
    """One stored or made text, and the colour to show it in."""

    text: str
    color: str | None = None


Row = Sequence[Cell | str]


def table(terminal: Terminal, columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[str]:
    """The lines of a table, its headings first."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = _fitted(columns, cells, terminal.width)
    heading = [Cell(column.heading, "bold") for column in columns]
    for row in [heading, *cells]:
        yield _line(terminal, columns, widths, row)


def only_used(
    columns: Sequence[Column], rows: Sequence[Row], optional: set[str]
) -> tuple[list[Column], list[Row]]:
    """The table without those optional columns in which no row says anything."""
    kept = [
        place
        for place, column in enumerate(columns)
        if column.heading not in optional or any(_cell(row[place]).text not in ("", "0") for row in rows)
    ]
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _cell(value: Cell | str) -> Cell:
    found = value if isinstance(value, Cell) else Cell(value)
    return Cell(clean(found.text), found.color)


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], limit: int | None) -> list[int]:
    """The widths of the columns; the widest that can be cut gives way until the line fits."""
    widths = [
        max([width(column.heading), *(width(row[n].text) for row in rows)])
        for n, column in enumerate(columns)
    ]
    if limit is None:
        return widths
    too_much = sum(widths) + len(GAP) * (len(widths) - 1) - limit
    while too_much > 0:
        soft = [n for n, column in enumerate(columns) if column.cut and widths[n] > column.least]
        soft = soft or [n for n, column in enumerate(columns) if column.cut and widths[n] > _NARROWEST]
        if not soft:
            break
        widths[max(soft, key=lambda n: widths[n])] -= 1
        too_much -= 1
    return widths


def _line(terminal: Terminal, columns: Sequence[Column], widths: Sequence[int], row: Sequence[Cell]) -> str:
    parts = []
    for column, columns_wide, cell in zip(columns, widths, row, strict=True):
        text = column.cut(cell.text, columns_wide) if column.cut else cell.text
        padded = pad(text, columns_wide, right=column.right)
        parts.append(padded.replace(text, terminal.paint(text, cell.color), 1) if text else padded)
    return GAP.join(parts).rstrip()
