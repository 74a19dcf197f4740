"""The same again and again in one place of the terminal, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from .terminal import Terminal

# Without wrapping, a line that is too long can not push the others out of their places.
_BEGIN = "\x1b[?25l\x1b[?7l\x1b[2J"
_END = "\x1b[?7h\x1b[?25h"
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(terminal: Terminal, pause: float, frame: Callable[[Terminal], Iterable[str]]) -> None:
    """Show what `frame` says every `pause` seconds; it is given the terminal as large as it is then.

    Where nobody looks (`width` None), one frame follows the other.
    """
    is_drawn = terminal.width is not None
    try:
        if is_drawn:
            terminal.write(_BEGIN)
        while True:
            if is_drawn:
                draw(terminal, frame)
            else:
                for line in frame(terminal):
                    terminal.say(line)
            terminal.flush()
            terminal.clock.sleep(pause)
    except KeyboardInterrupt:
        return  # that is how one ends it
    finally:
        if is_drawn:
            terminal.write(_END)
            terminal.flush()


def draw(terminal: Terminal, frame: Callable[[Terminal], Iterable[str]]) -> None:
    """Draw one frame over the one before, as much of it as the window holds."""
    columns, height = terminal.measure()
    lines = list(frame(replace(terminal, width=columns)))
    room = max(1, height - 1)  # the cursor stands below
    if len(lines) > room:
        lines[room - 1 :] = [f"… and {len(lines) - room + 1:,} more lines"]
    drawn = "".join(f"{line}{_END_OF_LINE}\n" for line in lines)
    terminal.write(f"{_HOME}{drawn}{_BELOW}")
