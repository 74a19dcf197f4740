"""What ties jobs to each other: parents, unique keys and limits, and when each job surely lived.

A parent may end without a call in any history: with its own parents, by its expiry, or with its worker. So
when a job ended is not looked for; that it had not is known from whoever saw it alive, later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .evidence import NEVER, Asked, Edge, Ending, Evidence, Lease, grouped
from .history import OK, REFUSED, Event

AGAIN = ("again", "snooze", "release")


class Life(NamedTuple):
    """A time throughout which a job was surely not final; the first if nobody can have retried it before."""

    since: int
    until: int
    is_first: bool = True


@dataclass(frozen=True)
class Ties:
    """The evidence, seen by what ties jobs to each other."""

    evidence: Evidence

    # --- keys and limits ---------------------------------------------------------------------------

    @cached_property
    def keys(self) -> dict[int, str]:
        """The unique key of each job that has one."""
        return self._said("key") | {
            job.id: job.unique_key for job in self.evidence.remains.jobs.values() if job.unique_key
        }

    @cached_property
    def limits(self) -> dict[int, str]:
        """The limit of each job that has one."""
        return self._said("limit") | {
            job.id: job.limit_key for job in self.evidence.remains.jobs.values() if job.limit_key
        }

    def _said(self, name: str) -> dict[int, str]:
        asked = self.evidence.acknowledged.items()
        return {id: one.flow[name] for id, one in asked if one.flow.get(name)}

    @cached_property
    def with_key(self) -> dict[str, list[Asked]]:
        """What was asked for under each unique key."""
        return grouped((one.flow["key"], one) for one in self.evidence.asked if one.flow.get("key"))

    def replacing(self, job: int) -> list[Asked]:
        """What may have been put into the place of a job while it waited."""
        return [
            one
            for one in self.with_key.get(self.keys.get(job, ""), ())
            if one.flow["on_duplicate"] == "replace" and one.id is None and one.found in (None, job)
        ]

    def is_replaceable(self, job: int) -> bool:
        """Whether its key binds only while it waits."""
        asked = self.with_key.get(self.keys.get(job, ""), ())
        return any(one.flow["on_duplicate"] == "replace" for one in asked)

    def is_tied(self, job: int) -> bool:
        """Whether more than its time decides when it may run."""
        return job in self.keys or job in self.limits or bool(self._parents.get(job))

    # --- parents -----------------------------------------------------------------------------------

    @cached_property
    def asked_edges(self) -> dict[int, list[Edge]]:
        """The edges of each child as they were asked for, of those whose ids were told."""
        return {id: asked_edges(one, id) for id, one in self.evidence.acknowledged.items()}

    @cached_property
    def stored_edges(self) -> dict[int, list[Edge]]:
        """The edges of each child as the file has them in the end."""
        return grouped((edge.child, edge) for edge in self.evidence.remains.edges)

    def edges(self, child: int) -> list[Edge]:
        """What a job waits or waited for; nothing of one whose parents may have been replaced by others."""
        if self.replacing(child):
            return []
        return self.asked_edges.get(child) or self.stored_edges.get(child) or []

    @cached_property
    def _parents(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        later = (asked_edges(one, one.found) for one in self.evidence.asked if one.found is not None)
        for edges in (*self.asked_edges.values(), *later, self.evidence.remains.edges):
            for edge in edges:
                found.setdefault(edge.child, set()).add(edge.parent)
        return found

    def above(self, job: int) -> set[int]:
        """A job and all that it waits or waited for, however far up."""
        found, left = set[int](), [job]
        while left:
            each = left.pop()
            if each not in found:
                found.add(each)
                left += self._parents.get(each, ())
        return found

    # --- what operators did ------------------------------------------------------------------------

    def retries(self, job: int) -> list[Event]:
        """The retries that can have brought a job back: of itself, or of one above it."""
        return [
            event
            for each in self.above(job)
            for event in self.evidence.on(each, "retry")
            if event.outcome != REFUSED
        ]

    def own_retries(self, job: int) -> list[Event]:
        """The retries of the job itself, after which it no longer matters how its parents ended."""
        return [event for event in self.evidence.on(job, "retry") if event.outcome != REFUSED]

    def cancels(self, job: int) -> list[Event]:
        """Who may have cancelled a job: it alone, or with a tree that it is in."""
        alone = self.evidence.on(job, "cancel")
        trees = [event for each in self.above(job) for event in self.evidence.on(each, "cancel_tree")]
        return [event for event in (*alone, *trees) if event.outcome != REFUSED]

    def endings(self, job: int) -> list[Ending]:
        """The settlements asked for of any attempt of a job."""
        return self._endings.get(job, [])

    @cached_property
    def _endings(self) -> dict[int, list[Ending]]:
        return grouped((ending.lease[0], ending) for ending in self.evidence.endings)

    # --- lives -------------------------------------------------------------------------------------

    @cached_property
    def _sightings(self) -> dict[int, list[Event]]:
        """The events in the middle of which each job was alive at some instant."""
        return grouped(self._each_sighting())

    def _each_sighting(self) -> Iterator[tuple[int, Event]]:
        for one in self.evidence.asked:
            id = one.found if one.id is None else one.id
            if id is not None:
                yield id, one.event
        for claim in self.evidence.taken:
            yield claim.lease[0], claim.event
        for ending in self.evidence.endings:
            if ending.answer == OK:
                yield ending.lease[0], ending.event
        for event in self.evidence.all("retry"):
            if event.outcome == OK:
                yield event.asked["job"], event

    def lives(self, job: int) -> list[Life]:
        """When a job was surely alive: between two who saw it so, if nobody can have retried it meanwhile."""
        retries = self.retries(job)
        seen: dict[int, list[Event]] = {}
        for event in self._sightings.get(job, ()):
            life = self._life_of(event, retries)
            if life is not None:
                seen.setdefault(life, []).append(event)
        lives = [
            Life(min(_end(one) for one in events), max(one.invoked for one in events), life == 0)
            for life, events in seen.items()
        ]
        return [life for life in lives if life.since < life.until]

    def _life_of(self, event: Event, retries: Iterable[Event]) -> int | None:
        """After how many retries this was; None if one of them overlaps it."""
        number = 0
        for retry in retries:
            if retry is event or self.evidence.over(retry) < event.invoked:
                number += 1
            elif retry.invoked < _end(event):
                return None
        return number

    def waits(self, job: int) -> list[Life]:
        """When a job surely waited, and neither ran nor was final."""
        retries = self.retries(job)
        found = []
        for attempt in self.evidence.attempts.get(job, ()):
            since = self._waited_since((job, attempt))
            until = self.evidence.taken_as[job, attempt][0].event.invoked
            is_sure = all(one.invoked > until or self.evidence.over(one) < since for one in retries)
            if since < until and is_sure:
                found.append(Life(since, until))
        return found

    def _waited_since(self, lease: Lease) -> int:
        job, attempt = lease
        if attempt == 1:
            asked = self.evidence.acknowledged.get(job)
            return NEVER if asked is None else _end(asked.event)
        before = self.evidence.endings_of.get((job, attempt - 1), ())
        given_back = (_end(one.event) for one in before if one.answer == OK and one.kind in AGAIN)
        return min(given_back, default=NEVER)


def asked_edges(asked: Asked, child: int) -> list[Edge]:
    """The edges that were asked for with a job."""
    return [
        Edge(child, _id_at(asked.event, place) if id is None else id, runs_on, bool(passes))
        for id, place, runs_on, passes in asked.flow.get("parents", ())
    ]


def _end(event: Event) -> int:
    return event.ended or NEVER


def _id_at(event: Event, place: int) -> int:
    return int(event.got[place][0])
