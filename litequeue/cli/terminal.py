"""Where the command line writes: the streams, how wide they are, and whether a person watches them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TextIO

from ..clock import Clock, SystemClock
from .text import clean

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


@dataclass(frozen=True)
class Terminal:
    """The streams of one command. `width` None: nobody looks, so nothing is cut.

    `measure` tells how large the window is now, in columns and lines.
    """

    out: TextIO
    err: TextIO
    input: TextIO
    clock: Clock
    width: int | None = None
    color: bool = False
    measure: Callable[[], tuple[int, int]] = shutil.get_terminal_size

    def say(self, text: str = "") -> None:
        """A line on standard output."""
        print(text, file=self.out)

    def complain(self, text: str) -> None:
        """One clean line on standard error, with our name before it."""
        print(f"litequeue: {clean(' '.join(text.splitlines()))}", file=self.err)

    def paint(self, text: str, color: str | None) -> str:
        """The text in a colour, where colours are wanted."""
        if color is None or not self.color:
            return text
        return f"\x1b[{CODES[color]}m{text}\x1b[0m"

    @property
    def is_interactive(self) -> bool:
        """Whether a person can be asked."""
        return self.input.isatty() and self.err.isatty()

    def ask(self, question: str) -> bool:
        """Ask on standard error; only a clear yes is one."""
        print(f"{question} [y/N] ", end="", file=self.err, flush=True)
        return self.input.readline().strip().lower() in ("y", "yes")


def system_terminal() -> Terminal:
    """The process's own streams; a character they can not carry becomes an escape, never an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    is_terminal = sys.stdout.isatty()
    return Terminal(
        out=sys.stdout,
        err=sys.stderr,
        input=sys.stdin,
        clock=SystemClock(),
        width=shutil.get_terminal_size().columns if is_terminal or os.environ.get("COLUMNS") else None,
        color=is_terminal and wants_color(os.environ),
    )


def wants_color(environment: Mapping[str, str]) -> bool:
    """Whether the environment allows colours: not with NO_COLOR (no-color.org), nor on a dumb terminal."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
