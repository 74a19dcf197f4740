"""Histories written by hand, to show that each rule catches what breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .evidence import Evidence, Remains, Stored
from .history import OK, UNKNOWN, Event
from .tasks import EFFECT, WORK

LEASE = 1_000  # microseconds
STEP = 10  # nanoseconds


class Tale:
    """What happened: one thing after another, unless it is said when; all of it much shorter than a lease."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.remains = Remains()
        self.clock = 1_000

    def tell(
        self,
        do: str,
        got: Any = None,
        *,
        by: int = 1,
        outcome: str = OK,
        at: tuple[int, int] | None = None,
        **asked: Any,
    ) -> Event:
        """One thing that an actor asked for, and what it was told."""
        if at is None:
            at = self.clock, self.clock + STEP // 2
            self.clock += STEP
        ended = None if outcome == UNKNOWN else at[1]
        event = Event(by, do, asked, at[0], ended, outcome, got if outcome == OK else None)
        self.events.append(event)
        return event

    # --- the verbs ---------------------------------------------------------------------------------

    def enqueue(self, *ids: int, task: str = WORK, retention: int | None = None, **told: Any) -> None:
        """Jobs that are named after their ids."""
        row, rolled_back = told.pop("row", None), told.pop("rolled_back", False)
        batch = {
            "tokens": [f"token {id}" for id in ids],
            "task": task,
            "retention": retention,
            "ack": told.pop("ack", None),
        }
        self.tell("enqueue", list(ids), batches=[batch], row=row, rolled_back=rolled_back, **told)

    def sign_on(self, actor: int) -> None:
        """A worker whose id is that of its actor."""
        self.tell("sign_on", actor, by=actor, lease=LEASE)

    def claim(self, *jobs: int, attempt: int = 1, wanted: int = 0, **told: Any) -> None:
        """Jobs of one queue, all at the same attempt; `priority`, `run_at` and `task` are those of all."""
        worker = told.get("by", 1)
        priority, run_at, task = (
            told.pop(*each) for each in (("priority", 0), ("run_at", 0), ("task", WORK))
        )
        rows = [(job, attempt, "default", priority, run_at, task) for job in jobs]
        want = ("default", max(wanted, len(jobs)), told.pop("known", None))
        got = {"accepted": [], "jobs": rows, "signed_on": True}
        self.tell("turn", got, worker=worker, settlements=[], wants=[want], wall=10**9, **told)

    def settle(
        self, job: int, kind: str = "complete", *, attempt: int = 1, accepted: bool = True, **told: Any
    ) -> None:
        """The end of one attempt."""
        settlement = (job, attempt, kind, told.pop("run_at", None))
        got = {"accepted": [accepted], "jobs": [], "signed_on": True}
        self.tell("turn", got, worker=0, settlements=[settlement], wants=[], wall=10**9, **told)

    def settle_in(self, job: int, *, attempt: int = 1, accepted: bool = True, **told: Any) -> None:
        """The end of one attempt in its own transaction."""
        self.tell("settle_in", accepted, lease=(job, attempt), **told)

    def kill(self, actor: int, **told: Any) -> None:
        """The director kills an actor."""
        self.tell("kill", -9, by=0, actor=actor, **told)

    # --- the file ----------------------------------------------------------------------------------

    def stored(self, id: int, state: str = "completed", attempt: int = 1, **changes: Any) -> None:
        """A job as it is found in the end, in place of what was said of it before."""
        job = Stored(id, changes.get("token", f"token {id}"), changes.get("task", WORK), state, attempt)
        self.change(jobs={**self.remains.jobs, id: job})

    def gone(self, id: int) -> None:
        """A job that is not there in the end."""
        self.change(jobs={key: job for key, job in self.remains.jobs.items() if key != id})

    def change(self, **values: Any) -> None:
        """Other remains."""
        self.remains = replace(self.remains, **values)

    def evidence(self) -> Evidence:
        """What the rules judge by."""
        highest = max(self.remains.jobs, default=0)
        remains = replace(self.remains, last_id=max(highest, self.remains.last_id))
        return Evidence(sorted(self.events, key=lambda event: event.invoked), remains)


def good_tale() -> Tale:
    """A short storm without a fault: jobs completed, one by its effect, one after a death; one cancelled."""
    tale = Tale()
    for actor in (1, 2, 7):
        tale.sign_on(actor)
    tale.enqueue(1, 2)
    tale.enqueue(3, task=EFFECT)
    tale.enqueue(4)
    tale.tell("cancel", "cancelled", job=4)
    tale.claim(1, 2)
    tale.settle(1)
    tale.claim(3, by=2, task=EFFECT)
    tale.settle(2, "release")
    tale.settle_in(3, by=2)
    tale.claim(2, attempt=2, by=7)
    tale.kill(7)
    tale.claim(2, attempt=3, by=2)
    tale.settle(2, attempt=3, by=2)
    tale.stored(1)
    tale.stored(2, attempt=3)
    tale.stored(3, task=EFFECT)
    tale.stored(4, "cancelled", 0)
    tale.stored(5, token="token 3/child")
    tale.claim(5, by=2)
    tale.settle(5, by=2)
    tale.change(effects=((3, 1),))
    return tale
