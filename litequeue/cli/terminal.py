"""Where the command line writes: the streams, how wide they are, and whether a person watches them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO, cast

from ..clock import Clock, SystemClock
from ..errors import LiteQueueError
from .text import clean

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


class OutputLost(LiteQueueError):
    """Standard output takes no more: its disk is full, or its device has gone."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output can not be written: {error.strerror}; what it holds is not all")


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
        """A line on standard output. Raises `OutputLost`, as all do that write there."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Text on standard output, as it is."""
        try:
            self.out.write(text)
        except OSError as error:
            raise _lost(error) from error

    def flush(self) -> None:
        """Let what was said be seen."""
        try:
            self.out.flush()
        except OSError as error:
            raise _lost(error) from error

    def complain(self, text: str) -> None:
        """One clean line on standard error, with our name before it."""
        self.mention(f"litequeue: {clean(' '.join(text.splitlines()))}\n")

    def mention(self, text: str) -> None:
        """Text on standard error, as it is; where nobody can hear it the exit code has to do."""
        with suppress(OSError):
            self.err.write(text)
            self.err.flush()

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
        self.mention(f"{question} [y/N] ")
        return self.input.readline().strip().lower() in ("y", "yes")


def _lost(error: OSError) -> Exception:
    """What is to be raised; a reader that has left, as `head` does, had all it wanted."""
    return error if isinstance(error, BrokenPipeError) else OutputLost(error)


def system_terminal() -> Terminal:
    """The process's own streams; a character they can not carry becomes an escape, never an error."""
    out, err, input = _opened(sys.stdout, "w"), _opened(sys.stderr, "w"), _opened(sys.stdin, "r")
    for stream in (out, err):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    is_terminal = out.isatty()
    return Terminal(
        out=out,
        err=err,
        input=input,
        clock=SystemClock(),
        width=shutil.get_terminal_size().columns if is_terminal or os.environ.get("COLUMNS") else None,
        color=is_terminal and wants_color(os.environ),
    )


def _opened(stream: TextIO | None, mode: str) -> TextIO:
    """A stream that can be used, also where the process was started with none."""
    return cast(TextIO, open(os.devnull, mode)) if stream is None else stream


def wants_color(environment: Mapping[str, str]) -> bool:
    """Whether the environment allows colours: not with NO_COLOR (no-color.org), nor on a dumb terminal."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
