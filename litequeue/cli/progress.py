"""A bar on standard error while something long goes on and a person watches."""

from __future__ import annotations

from types import TracebackType

from ..clock import SECOND
from .human import span
from .terminal import Terminal
from .text import cut

_BAR = 28
_LINE = 79
_ERASE = "\r\x1b[K"


class Progress:
    """How far a long piece of work is; silent when standard error is not a terminal.

    Without a total it only counts. Leave the block, and the line is gone.
    """

    def __init__(self, terminal: Terminal, title: str, total: int | None = None) -> None:
        self._terminal = terminal
        self._title = title
        self._total = total
        self._shown = terminal.err.isatty()
        self._began = terminal.clock.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """Show that so many are done."""
        if self._shown:
            line = cut(self._line(done, note), min(_LINE, (self._terminal.width or _LINE + 1) - 1))
            self._terminal.mention(_ERASE + line)

    def update_of(self, done: int, total: int) -> None:
        """Show that so many are done, of a total that only the work itself knows."""
        self._total = total
        self.update(done)

    def _line(self, done: int, note: str) -> str:
        took = self._terminal.clock.monotonic() - self._began
        parts = [f"{done:,} of {self._total:,}" if self._total else f"{done:,}", note]
        bar = ""
        if self._total:
            filled = min(_BAR, _BAR * done // self._total)
            bar = f" [{'#' * filled}{'.' * (_BAR - filled)}]"
            if done and took >= SECOND:
                parts.append(f"{span(max(SECOND, took * (self._total - done) // done))} left")
        return f"{self._title}{bar} {', '.join(filter(None, parts))}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._shown:
            self._terminal.mention(_ERASE)
