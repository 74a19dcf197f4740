"""Histories written by hand, to show that each rule catches what breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from .evidence import Edge, Evidence, Remains, Stored
from .history import OK, UNKNOWN, Event
from .tasks import EFFECT, GATHER, TICK, WORK

LEASE = 1_000  # microseconds
STEP = 10  # nanoseconds


class Node(NamedTuple):
    """A job of a graph. `found`: it was there before, and has the unique key."""

    id: int
    parents: tuple[int, ...] = ()
    runs_on: str = "success"
    passes: bool = False
    key: str | None = None
    on_duplicate: str = "return"
    limit: str | None = None
    max_running: int | None = None
    max_crashes: int | None = 1_000
    found: int | None = None

    def batch(self, places: dict[int, int]) -> dict[str, Any]:
        """What is asked for; parents in the same graph by their places."""
        parents = [
            (None, places[id], self.runs_on, self.passes)
            if id in places
            else (id, None, self.runs_on, self.passes)
            for id in self.parents
        ]
        flow = {
            "key": self.key,
            "on_duplicate": self.on_duplicate,
            "limit": self.limit,
            "max_running": self.max_running,
            "parents": parents,
        }
        names = {"tokens": [f"token {self.id}"], "task": GATHER if self.passes else WORK, "flow": flow}
        return {**names, "retention": None, "ack": None, "max_crashes": self.max_crashes}


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

    def graph(self, *nodes: Node, **told: Any) -> None:
        """Jobs that are tied to each other, stored with their edges if that was told."""
        places = {node.id: place for place, node in enumerate(nodes)}
        got = [(node.found or node.id, node.found is None) for node in nodes]
        event = self.tell("enqueue_flow", got, batches=[node.batch(places) for node in nodes], **told)
        if event.outcome == OK:
            edges = [Edge(n.id, id, n.runs_on, n.passes) for n in nodes if not n.found for id in n.parents]
            self.change(edges=(*self.remains.edges, *edges))

    def sign_on(self, actor: int) -> None:
        """A worker whose id is that of its actor."""
        self.tell("sign_on", actor, by=actor, lease=LEASE)

    def claim(self, *jobs: int, attempt: int = 1, wanted: int = 0, **told: Any) -> None:
        """Jobs of one queue, all at the same attempt; `priority`, `run_at` and `task` are those of all."""
        worker = told.get("by", 1)
        priority, run_at, task, received, aside = (
            told.pop(*each)
            for each in (("priority", 0), ("run_at", 0), ("task", WORK), ("received", None), ("put_aside", 0))
        )
        rows = [(job, attempt, "default", priority, run_at, task, received) for job in jobs]
        want = ("default", max(wanted, len(jobs)), told.pop("known", None))
        got = {"accepted": [], "jobs": rows, "signed_on": True, "put_aside": aside}
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
        named = {"token": f"token {id}", "task": WORK, **changes}
        job = Stored(id=id, state=state, attempt=attempt, **named)
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


def good_graph() -> Tale:
    """A graph without a fault beside it: 10 completes, 11 and 13 get its result, 12 was for its failure."""
    tale = good_tale()
    tale.graph(
        Node(10),
        Node(11, (10,), passes=True),
        Node(12, (10,), runs_on="failure"),
        Node(13, (10, 11), runs_on="end", passes=True),
    )
    tale.claim(10, by=2)
    tale.settle(10, by=2)
    tale.claim(11, by=2, task=GATHER, received=(False, ["ten"]))
    tale.tell("given", by=2, lease=(11, 1), value=(False, ["ten"]))
    tale.settle(11, "fail", by=2)
    tale.claim(13, by=2, task=GATHER, received=(True, ["ten", None]))
    tale.settle(13, by=2)
    tale.stored(10, result="ten")
    tale.stored(11, "failed", reason="error", task=GATHER)
    tale.stored(12, "cancelled", 0, reason="parent")
    tale.stored(13, task=GATHER)
    return tale


def good_firings() -> Tale:
    """Three firings of a schedule, each of which made a job; nobody was told of the second."""
    tale = good_tale()
    tale.tell("fire", {"jobs": [21], "wall": 200_001})
    tale.tell("fire", outcome=UNKNOWN, by=8)
    tale.tell("fire", {"jobs": [23], "wall": 600_001}, by=2)
    for id, firing in ((21, 200_000), (22, 400_000), (23, 600_000)):
        tale.stored(id, "cancelled", 0, token=TICK, schedule="all", scheduled_for=firing, created_at=firing)
    return tale
