"""What the children of a sweep do: meet a fault, recover, judge what is left. Each raises what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from litequeue.errors import LiteQueueError
from tests.crashes.nursery import Say
from tests.crashes.operations import Operation, Steps
from tests.crashes.points import Mode
from tests.crashes.rig import Rig, State, UsersOwn, stored, watch_commits
from tests.crashes.shim import CHANGES, Deed, Shim

EXPECTED = (LiteQueueError, UsersOwn)


@dataclass(frozen=True)
class Course:
    """What is stored from commit to commit when nothing goes wrong, and where each step has brought it."""

    states: list[State]
    ends: list[int]

    def allowed(self, acknowledged: int) -> list[State]:
        """What may be found when so many steps were acknowledged and the next was perhaps begun."""
        last = min(acknowledged + 1, len(self.ends) - 1)
        return self.states[self.ends[acknowledged] : self.ends[last] + 1]

    def since(self, state: State) -> list[State]:
        """What this may become when others go on: any claim ends what has expired."""
        return self.states[self.states.index(state) :]


def follow(say: Say, folder: Path, operation: Operation) -> None:
    """Tell the course of an operation."""
    with begun(folder, operation) as (rig, steps):
        states = [stored_at(rig)] if rig.is_open else []
        if rig.is_open:
            watch_commits(rig, states)
        ends = [0]
        for step in steps:
            step()
            if not states or states[-1] != stored_at(rig):
                states.append(stored_at(rig))
            ends.append(len(states) - 1)
    say({"states": states, "ends": ends})


def count(say: Say, shim: Shim, folder: Path, operation: Operation, mode: Mode) -> None:
    """Tell how many file calls of an operation a mode could strike."""
    with begun(folder, operation) as (_, steps):
        shim.arm(mode.kinds, mode.deed)
        for step in steps:
            step()
        say(shim.disarm())


def meet(
    say: Say, shim: Shim, folder: Path, operation: Operation, mode: Mode, at: int, course: Course
) -> None:
    """Carry the operation out, and meet the fault in it; a step that is acknowledged is told at once.

    Whoever survives goes on: once while the fault lasts, and then for good. What it sees then is told.
    """
    with begun(folder, operation) as (rig, steps):
        shim.arm(mode.kinds, mode.deed, at, mode.error)
        done = _carry_out(steps, say)
        if at % 3 == 2:
            return  # the error was the last that this process saw
        if mode.deed in (Deed.FAIL_EVER, Deed.FAIL_SHORT):
            with suppress(LiteQueueError):
                rig.go_on()
        shim.disarm()
        if not rig.is_open:
            rig.open()
        state = require_one_of(rig.state(), course.allowed(done), "in the process that met the fault")
        _go_on_by_itself(rig)
        state = require_one_of(rig.state(), course.since(state), "after it went on")
        say({"seen": state})
        if at % 3:
            rig.close()


def recover(shim: Shim, folder: Path, at: int) -> None:
    """Open what a crash left, and crash at a call of that."""
    shim.arm(CHANGES, Deed.KILL, at)
    rig = Rig(folder)
    rig.open()
    rig.go_on()
    rig.close()


def judge(folder: Path, course: Course, allowed: list[State]) -> None:
    """As a fresh process: what may be there is there, nothing is broken, and all work can be ended."""
    rig = Rig(folder)
    rig.open()
    state = require_one_of(rig.state(), allowed, "in a fresh process")
    require_nothing(rig.broken())
    rig.go_on()
    require_one_of(rig.state(), course.since(state), "after it went on")
    rig.finish_all()
    require_nothing(rig.broken())
    rig.close()


@contextmanager
def begun(folder: Path, operation: Operation) -> Iterator[tuple[Rig, Steps]]:
    """The operation, prepared."""
    with ExitStack() as stack:
        if operation.keeper:
            for module in ("database", "opening"):
                stack.enter_context(
                    mock.patch(f"litequeue.storage.{module}.carries_reset_fault", lambda: True)
                )
            measures: dict[str, Any] = dict(operation.keeper)
            limit = measures.pop("LOG_LIMIT", 16 << 20)
            stack.enter_context(mock.patch("litequeue.storage.opening.LOG_LIMIT", limit))
            stack.enter_context(mock.patch.multiple("litequeue.storage.checkpoint", **measures))
        rig = Rig(folder)
        if operation.is_opened:
            rig.open()
        yield rig, operation.prepare(rig)


def stored_at(rig: Rig) -> State:
    """What another connection finds in the file of a rig."""
    with closing(rig.own_connection()) as connection:
        return stored(connection)


def require_one_of(state: State, allowed: list[State], where: str) -> State:
    """The state, if it is one of these; raises with the rows that differ if not."""
    if state in allowed:
        return state
    told = [f"what is stored {where} is none of the {len(allowed)} things it may be"]
    for number, other in enumerate(allowed):
        told.append(f"  but for this it would be number {number + 1}:")
        found, wanted = rows_of(state), rows_of(other)
        told += [f"    too many: {row}" for row in sorted(found - wanted)[:5]]
        told += [f"    missing:  {row}" for row in sorted(wanted - found)[:5]]
    raise AssertionError("\n".join(told))


def rows_of(state: State) -> set[str]:
    """The rows of a state, each with its table."""
    return {f"{table} {row}" for table, rows in state for row in rows}


def require_nothing(broken: list[str]) -> None:
    """Raise when an invariant does not hold."""
    if broken:
        raise AssertionError("\n".join(broken))


def _go_on_by_itself(rig: Rig) -> None:
    """At the second try if not at the first: what the fault has spoilt may show only when it is used."""
    with suppress(LiteQueueError):
        rig.go_on()
        return
    rig.go_on()


def _carry_out(steps: Steps, say: Say) -> int:
    """How many steps were acknowledged before one failed as it may."""
    for done, step in enumerate(steps):
        try:
            step()
        except EXPECTED:
            return done
        say("done")
    return len(steps)
