"""The storm: processes are forked, killed, stopped and woken, until enough of them were killed.

This process has imported everything and opened nothing, so that a fork is a fresh start and costs 2 ms.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from litequeue.storage.gate import Durability

from .history import Call, Diary
from .roles import DRIVER_LEASE, WORKER_LEASE, Part, become

DIRECTOR = 0
LEASES = {"driver": DRIVER_LEASE, "worker": WORKER_LEASE, "program": WORKER_LEASE}
# How often each is killed, stopped, or asked to end.
STRIKES = {"driver": (10, 5, 0), "worker": (10, 1, 1), "program": (10, 1, 1)}
_MOST_STOPPED = 3


@dataclass(frozen=True)
class Plan:
    """What is to happen; the same plan draws the same chances, though no two storms run alike."""

    path: Path
    seed: int = 0
    kills: int = 1_000
    pause: float = 0.012
    cast: tuple[str, ...] = (*["driver"] * 5, *["worker"] * 2, "program")
    durability: Durability = Durability.NORMAL


@dataclass
class Actor:
    """A child that plays a part; `wake_at` while it is stopped."""

    number: int
    role: str
    pid: int
    wake_at: float | None = None


@dataclass
class Storm:
    """One storm over one file."""

    plan: Plan
    kills: int = 0
    fused: int = 0
    stops: int = 0
    actors: list[Actor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.plan.seed}")
        self._diary = Diary(self.plan.path.parent, DIRECTOR)
        self._number = DIRECTOR
        self._written = 0

    def run(self) -> None:
        """Found the file, let them all loose, strike, and have what is left brought to an end."""
        self._see_through("founder")
        try:
            self.actors = [self._fork(role) for role in self.plan.cast]
            while self.kills < self.plan.kills:
                time.sleep(self._random.expovariate(1 / self.plan.pause))
                self._wake_the_stopped()
                self._replace_the_dead()
                if self._is_busy() or self._random.random() < 0.2:
                    self._strike()
        finally:
            for actor in self.actors:
                self._kill(actor)
        self._see_through("drainer")
        self._diary.close()

    def _is_busy(self) -> bool:
        """Whether anybody has written since the last look.

        Where one that is stopped holds the write lock all others wait, and kills would meet them there alone.
        """
        try:
            before, self._written = self._written, os.stat(f"{self.plan.path}-wal").st_mtime_ns
        except FileNotFoundError:
            return False  # nobody has opened the file yet
        return before != self._written

    def _strike(self) -> None:
        """Whoever is stopped is mostly left alone until it wakes."""
        weights = [1 if actor.wake_at is None else 0.05 for actor in self.actors]
        (actor,) = self._random.choices(self.actors, weights)
        ways = (self._kill_and_replace, self._stop, self._ask_to_end)
        self._random.choices(ways, STRIKES[actor.role])[0](actor)

    # --- ways to strike ----------------------------------------------------------------------------

    def _kill_and_replace(self, actor: Actor) -> None:
        self._kill(actor)
        self.actors[self.actors.index(actor)] = self._fork(actor.role)

    def _kill(self, actor: Actor) -> None:
        with self._diary.telling("kill", actor=actor.number) as call:
            os.kill(actor.pid, signal.SIGKILL)
            self._bury(actor, os.waitpid(actor.pid, 0)[1], call)
        self.kills += call.got == -signal.SIGKILL

    def _stop(self, actor: Actor) -> None:
        """Stop it for longer than its lease; it comes back as a zombie, whose jobs are others' by then."""
        if actor.wake_at is not None or sum(one.wake_at is not None for one in self.actors) >= _MOST_STOPPED:
            return
        self._diary.note("stop", actor=actor.number)
        os.kill(actor.pid, signal.SIGSTOP)
        actor.wake_at = time.monotonic() + LEASES[actor.role] * self._random.uniform(1.5, 2.5)

    def _ask_to_end(self, actor: Actor) -> None:
        os.kill(actor.pid, signal.SIGTERM)

    # --- the life of actors ------------------------------------------------------------------------

    def _wake_the_stopped(self) -> None:
        for actor in self.actors:
            if actor.wake_at is not None and time.monotonic() >= actor.wake_at:
                actor.wake_at = None
                os.kill(actor.pid, signal.SIGCONT)
                self._diary.note("wake", actor=actor.number)
                self.stops += 1

    def _replace_the_dead(self) -> None:
        for place, actor in enumerate(self.actors):
            pid, status = os.waitpid(actor.pid, os.WNOHANG)
            if pid:
                with self._diary.telling("bury", actor=actor.number) as call:
                    self._bury(actor, status, call)
                self.actors[place] = self._fork(actor.role)

    def _bury(self, actor: Actor, status: int, call: Call) -> None:
        call.got = os.waitstatus_to_exitcode(status)
        self.fused += call.got == -signal.SIGALRM

    def _fork(self, role: str) -> Actor:
        self._number += 1
        part = Part(
            self.plan.path, self._number, role, f"{self.plan.seed}/{self._number}", self.plan.durability
        )
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                self._diary.close()
                code = become(part)
            finally:
                os._exit(code)
        self._diary.note("fork", actor=self._number, role=role, pid=pid)
        return Actor(self._number, role, pid)

    def _see_through(self, role: str) -> None:
        """Let a part be played to its end."""
        actor = self._fork(role)
        with self._diary.telling("bury", actor=actor.number) as call:
            self._bury(actor, os.waitpid(actor.pid, 0)[1], call)
