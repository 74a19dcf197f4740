"""What each process of a storm says it did: a file for each, a line when it asks, one when it is told.

A line is one `os.write` to a file opened for appending: once the call has returned it is there, whatever
becomes of the process. Times are nanoseconds of the monotonic clock, which all processes of a boot share.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litequeue.errors import DuplicateJob, JobNotFound, LeaseLost, NotAllowed

OK, REFUSED, ERROR, UNKNOWN = "ok", "refused", "error", "unknown"
INVOKE, NOTE = "invoke", "note"
REFUSALS = (LeaseLost, NotAllowed, JobNotFound, DuplicateJob)
_FUSE = (-5, -3)  # powers of ten, in seconds


@dataclass(frozen=True)
class Event:
    """One thing that an actor did. Killed before it was told, its outcome is unknown: it may be either."""

    actor: int
    do: str
    asked: Mapping[str, Any]
    invoked: int
    ended: int | None = None
    outcome: str = UNKNOWN
    got: Any = None


@dataclass
class Call:
    """What an actor is doing now; `got` is what it will say that it was told."""

    number: int
    got: Any = None


@dataclass
class Diary:
    """The history that one actor writes.

    With `fuses`, the chance for each verb, it is at times killed in mid-call: by an alarm, which when nobody
    handles it ends a process as SIGKILL does, wherever it is and with no code of its own run.
    """

    folder: Path
    actor: int
    random: random.Random = field(default_factory=random.Random)
    fuses: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.folder / f"{self.actor:07}.history", flags, 0o600)
        self._numbers = itertools.count(1)

    @contextmanager
    def telling(self, do: str, **asked: Any) -> Iterator[Call]:
        """Write that this is asked for; at the end of the block, what it came to."""
        call = self.begin(do, **asked)
        try:
            yield call
        except REFUSALS as error:
            self.end(call, REFUSED, str(error))
            raise
        except Exception as error:
            self.end(call, ERROR, f"{type(error).__name__}: {error}")
            raise
        else:
            self.end(call, OK, call.got)

    def begin(self, do: str, **asked: Any) -> Call:
        """Write that this is asked for; `end` must follow."""
        call = Call(next(self._numbers))
        self._write(call.number, INVOKE, do, asked)
        self.light_fuse(do)
        return call

    def light_fuse(self, name: str) -> None:
        """Perhaps be killed in a moment, by the chance that goes with this name."""
        if self.fuses and self.random.random() < self.fuses.get(name, 0):
            signal.setitimer(signal.ITIMER_REAL, 10 ** self.random.uniform(*_FUSE))

    def end(self, call: Call, outcome: str, got: Any = None) -> None:
        """Write what a call came to."""
        self._write(call.number, outcome, got)

    def note(self, do: str, **what: Any) -> None:
        """Write something that happened in one instant."""
        self._write(0, NOTE, do, what)

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)

    def _write(self, *words: Any) -> None:
        os.write(self._descriptor, json.dumps((time.monotonic_ns(), *words)).encode() + b"\n")


def read_all(folder: Path) -> list[Event]:
    """Every history in the folder, in the order in which things were asked for."""
    events = [event for path in sorted(folder.glob("*.history")) for event in read(path)]
    return sorted(events, key=lambda event: event.invoked)


def read(path: Path) -> Iterator[Event]:
    """One history. Its last line may be cut off in the middle, and then nobody knows what it would say."""
    actor = int(path.stem)
    open_calls: dict[int, tuple[int, str, dict[str, Any]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        at, number, said, *words = json.loads(line)
        if said == NOTE:
            yield Event(actor, words[0], words[1], at, at, OK)
        elif said == INVOKE:
            open_calls[number] = (at, words[0], words[1])
        else:
            invoked, do, asked = open_calls.pop(number)
            yield Event(actor, do, asked, invoked, at, said, words[0])
    for invoked, do, asked in open_calls.values():
        yield Event(actor, do, asked, invoked)
