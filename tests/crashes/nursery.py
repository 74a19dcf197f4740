"""Children of a process that has opened no database: each starts in a millisecond, and may die at will."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LONGEST_LIFE = 60  # seconds; what hangs is ended, and its end tells
Say = Callable[[Any], None]


@dataclass(frozen=True)
class Ended:
    """What a child said, as JSON, and how it ended."""

    said: list[Any]
    status: int

    @property
    def was_killed(self) -> bool:
        """Whether it died at the point it was told to."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    @property
    def is_well(self) -> bool:
        """Whether it came to its end."""
        return self.status == 0

    def how(self) -> str:
        """For a report."""
        last = self.said[-1] if self.said else None
        if isinstance(last, dict) and "raised" in last:
            return str(last["raised"])
        if os.WIFSIGNALED(self.status):
            return f"ended by signal {os.WTERMSIG(self.status)}"
        return f"ended with code {os.waitstatus_to_exitcode(self.status)}"


def in_child(work: Callable[[Say], None]) -> Ended:
    """Run `work` in a child; what it says is heard even if it is killed right after."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _live(work, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        said = [json.loads(line) for line in pipe]
    return Ended(said, os.waitpid(pid, 0)[1])


def _live(work: Callable[[Say], None], writing: int) -> None:
    """Never returns, and runs nothing of what an interpreter does at its end."""

    def say(value: Any) -> None:
        text = f"{json.dumps(value)}\n".encode()
        while text:
            text = text[os.write(writing, text) :]

    signal.alarm(LONGEST_LIFE)
    try:
        work(say)
    except BaseException:
        say({"raised": traceback.format_exc()})
        os._exit(1)
    os._exit(0)
