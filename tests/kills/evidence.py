"""What is known after a storm: the histories, taken apart by verb, and what the file holds in the end."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from litequeue.storage import checks
from litequeue.storage.enqueuing import LAST_ID

from .history import OK, REFUSED, UNKNOWN, Event
from .told import gist, token_of

if TYPE_CHECKING:
    from .ties import Ties

JOBS = """
SELECT id, coalesce(payload, (SELECT body FROM litequeue_blob WHERE job = id AND kind = 'payload')),
       task, state, attempt, reason, max_crashes, ack, expires_at, created_at, unique_key, limit_key,
       schedule, scheduled_for,
       coalesce(result, (SELECT body FROM litequeue_blob WHERE job = id AND kind = 'result'))
FROM litequeue_job
"""
EDGES = "SELECT child, parent, runs_on, passes FROM litequeue_edge ORDER BY child, number"
Lease = tuple[int, int]
NEVER = 2**63


class Asked(NamedTuple):
    """One job that somebody asked to have stored; `id` when it was told one that is to last.

    `found` is the job that it was given instead, which has the unique key.
    """

    token: str
    id: int | None
    event: Event
    batch: dict[str, Any]
    found: int | None = None

    @property
    def is_undone(self) -> bool:
        """Whether its transaction was rolled back, so that its id is another's now."""
        return bool(self.event.asked.get("rolled_back"))

    @property
    def flow(self) -> dict[str, Any]:
        """Its key, its limit and its parents."""
        return self.batch.get("flow") or {}


class Taken(NamedTuple):
    """One job that a turn brought to a worker, which was told so."""

    lease: Lease
    queue: str
    priority: int
    run_at: int
    task: str
    received: Any
    worker: int
    event: Event

    @property
    def key(self) -> tuple[int, int, int]:
        """Its place in the order of its queue: the lower, the earlier."""
        return -self.priority, self.run_at, self.lease[0]


class Ending(NamedTuple):
    """One settlement that somebody asked for; `answer` is OK, REFUSED or UNKNOWN."""

    lease: Lease
    kind: str
    run_at: int | None
    answer: str
    event: Event

    @property
    def is_in_transaction(self) -> bool:
        """Whether it was asked for in the task's own transaction."""
        return self.event.do == "settle_in"


class Stored(NamedTuple):
    """A job as the file holds it in the end."""

    id: int
    token: str
    task: str
    state: str
    attempt: int
    reason: str | None = None
    max_crashes: int | None = None
    ack: str | None = None
    expires_at: int | None = None
    created_at: int = 0
    unique_key: str | None = None
    limit_key: str | None = None
    schedule: str | None = None
    scheduled_for: int | None = None
    result: str | None = None


class Edge(NamedTuple):
    """One job waits for another, which is to end so."""

    child: int
    parent: int
    runs_on: str
    passes: bool


@dataclass(frozen=True)
class Remains:
    """What the file holds in the end."""

    jobs: dict[int, Stored] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    effects: tuple[Lease, ...] = ()
    ledger: tuple[str, ...] = ()
    workers: int = 0
    last_id: int = 0
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All that the rules judge by."""

    events: list[Event]
    remains: Remains

    def all(self, *verbs: str) -> list[Event]:
        """The events of these verbs, in the order in which they were asked for."""
        found = [event for verb in verbs for event in self._by_verb.get(verb, ())]
        return sorted(found, key=lambda event: event.invoked) if len(verbs) > 1 else found

    def on(self, job: int, *verbs: str) -> list[Event]:
        """The events of these verbs that were about one job."""
        return [event for event in self._by_job.get(job, ()) if event.do in verbs]

    @cached_property
    def ties(self) -> Ties:
        """What ties jobs to each other."""
        from .ties import Ties

        return Ties(self)

    @cached_property
    def _by_verb(self) -> dict[str, list[Event]]:
        return grouped((event.do, event) for event in self.events)

    @cached_property
    def _by_job(self) -> dict[int, list[Event]]:
        return grouped((event.asked["job"], event) for event in self.events if "job" in event.asked)

    @cached_property
    def asked(self) -> list[Asked]:
        """Every job that was asked to be stored, but for those that tasks enqueue in their transactions."""
        return [one for event in self.all("enqueue", "enqueue_flow") for one in _each_asked(event)]

    @cached_property
    def taken(self) -> list[Taken]:
        """Every job that was claimed, as far as the claimer lived to hear of it."""
        return [
            Taken((job, attempt), queue, priority, run_at, task, received, event.asked["worker"], event)
            for event in self.all("turn")
            if event.outcome == OK
            for job, attempt, queue, priority, run_at, task, received in event.got["jobs"]
        ]

    @cached_property
    def taken_as(self) -> dict[Lease, list[Taken]]:
        """The claims that brought each lease; more than one is a fault."""
        return grouped((one.lease, one) for one in self.taken)

    @cached_property
    def acknowledged(self) -> dict[int, Asked]:
        """The jobs that were acknowledged, by their ids."""
        return {one.id: one for one in self.asked if one.id is not None}

    @cached_property
    def _taken_at(self) -> list[int]:
        return [one.event.invoked for one in self.taken]

    def taken_between(self, begun: int, ended: int) -> list[Taken]:
        """The claims that were asked for, and told, between two instants."""
        first, last = bisect_right(self._taken_at, begun), bisect_left(self._taken_at, ended)
        return [one for one in self.taken[first:last] if (one.event.ended or NEVER) < ended]

    @cached_property
    def endings(self) -> list[Ending]:
        """Every settlement that was asked for."""
        turns = [ending for event in self.all("turn") for ending in _each_ending(event)]
        return turns + [
            Ending(tuple(event.asked["lease"]), "complete", None, answer(event, event.got), event)
            for event in self.all("settle_in")
        ]

    @cached_property
    def endings_of(self) -> dict[Lease, list[Ending]]:
        """The settlements asked for of each lease."""
        return grouped((ending.lease, ending) for ending in self.endings)

    @cached_property
    def attempts(self) -> dict[int, list[int]]:
        """The attempts of each job that were claimed and told, lowest first."""
        found = grouped((job, attempt) for job, attempt in self.taken_as)
        return {job: sorted(attempts) for job, attempts in found.items()}

    @cached_property
    def alive_until(self) -> dict[int, int]:
        """Until when each actor surely lived: its last word, or the kill that reached it."""
        last: dict[int, int] = defaultdict(int)
        for event in self.events:
            last[event.actor] = max(last[event.actor], event.invoked, event.ended or 0)
        for event in self.all("kill"):
            if event.got == -9:
                last[event.asked["actor"]] = max(last[event.asked["actor"]], event.invoked)
        return last

    @cached_property
    def _renewals(self) -> dict[int, list[tuple[int, int]]]:
        """For each worker, when it was told of a lease, and until when that surely runs."""
        signed = ((event.got, event) for event in self.all("sign_on") if event.outcome == OK)
        renewed = (
            (event.asked["worker"], event) for event in self.all("renew") if event.outcome == OK and event.got
        )
        return grouped(
            (worker, (event.ended or 0, event.invoked + event.asked["lease"] * 1000))
            for events in (signed, renewed)
            for worker, event in events
        )

    def leased_until(self, worker: int, at: int) -> int:
        """Until when the lease of a worker surely runs, by what it had been told at an instant."""
        return max((until for told, until in self._renewals.get(worker, ()) if told <= at), default=0)

    def surely_held_until(self, claim: Taken, seen: Event) -> int:
        """Until when this lease was surely held, by what was told before the event `seen` began."""
        endings = self.endings_of.get(claim.lease, ())
        settled = (one.event.invoked for one in endings if one.answer != REFUSED)
        return min(
            self.leased_until(claim.worker, seen.invoked),
            self.alive_until[claim.event.actor],
            self.left.get(claim.worker, NEVER),
            min(settled, default=NEVER),
        )

    @cached_property
    def left(self) -> dict[int, int]:
        """When each worker asked to be signed off."""
        return {event.asked["worker"]: event.invoked for event in self.all("sign_off")}

    @cached_property
    def _buried(self) -> dict[int, int]:
        """When each actor was seen to be dead."""
        return {event.asked["actor"]: event.ended or NEVER for event in self.all("kill", "bury")}

    def over(self, event: Event) -> int:
        """By when an event was surely over: it was told, or its actor was dead."""
        return event.ended or self._buried.get(event.actor, NEVER)


def answer(event: Event, accepted: object) -> str:
    """OK, REFUSED or UNKNOWN, for a settlement in this event."""
    if event.outcome != OK:
        return UNKNOWN
    return OK if accepted else REFUSED


def grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    """The second of each pair, by the first."""
    found: dict[Any, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _each_asked(event: Event) -> Iterator[Asked]:
    is_lasting = event.outcome == OK and not event.asked.get("rolled_back")
    ids = iter(event.got if is_lasting else ())
    for batch in event.asked["batches"]:
        for token in batch["tokens"]:
            told = next(ids, None)
            id, is_new = told if isinstance(told, list | tuple) else (told, True)
            yield Asked(token, id if is_new else None, event, batch, None if is_new else id)


def _each_ending(event: Event) -> Iterator[Ending]:
    accepted = event.got["accepted"] if event.outcome == OK else []
    for place, (job, attempt, kind, run_at) in enumerate(event.asked["settlements"]):
        said = answer(event, accepted[place] if accepted else None)
        yield Ending((job, attempt), kind, run_at, said, event)


def look(path: Path) -> Remains:
    """What the file holds, read when nobody uses it any more."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(JOBS).fetchall()
        return Remains(
            jobs={
                row[0]: Stored._make((row[0], token_of(row[1]), *row[2:-1], gist(row[-1]))) for row in rows
            },
            edges=tuple(Edge(*row) for row in connection.execute(EDGES).fetchall()),
            effects=tuple(connection.execute("SELECT job, attempt FROM effect").fetchall()),
            ledger=tuple(row[0] for row in connection.execute("SELECT token FROM ledger").fetchall()),
            workers=connection.execute("SELECT count(*) FROM litequeue_worker").fetchone()[0],
            last_id=connection.execute(LAST_ID).fetchone()[0],
            broken=tuple(map(str, checks.broken(connection))),
        )
