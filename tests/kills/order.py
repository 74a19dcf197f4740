"""Within a queue nothing is overtaken: the order of claims, judged by the intervals in which they were made.

A job was surely ready from the moment that somebody was told so until the claim that took it was asked for.
A claim that lies within that time wholly must not bring what comes after it in the order.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .evidence import NEVER, Evidence, Taken
from .history import OK, Event
from .ties import AGAIN

Key = tuple[int, int, int]
LAST: Key = (2**63, 0, 0)


class Ready(NamedTuple):
    """A job that was surely ready for a while, and could be claimed once its `run_at` had come.

    It is tied to no other: when a child, or what is limited, could be claimed only the file knows.
    """

    key: Key
    since: int
    until: int
    task: str

    @property
    def run_at(self) -> int:
        """From when on it could be claimed, in wall time."""
        return self.key[1]


class Look(NamedTuple):
    """One claim of one queue: the last in the order that it brought, or LAST if it wanted still more."""

    worst: Key
    event: Event
    known: frozenset[str] | None


def nothing_is_overtaken(evidence: Evidence) -> Iterator[str]:
    """No claim brings a job while a better one of its queue is surely ready."""
    for queue, readies in waits(evidence).items():
        looks = [look for look in looks_at(evidence, queue) if look.worst != LAST]
        for ready, look in passed_over(readies, looks):
            yield (
                f"job {ready.key[2]} {ready.key[:2]} was ready while actor {look.event.actor} got job "
                f"{look.worst[2]} {look.worst[:2]} of {queue}"
            )


def nothing_ready_is_passed_over(evidence: Evidence) -> Iterator[str]:
    """No claim that may take anything comes back with less than it wanted while a job is surely ready."""
    for queue, readies in waits(evidence).items():
        pauses = perhaps_paused(evidence, queue)
        looks = [
            look
            for look in looks_at(evidence, queue)
            if look.worst == LAST and look.known is None and not _overlaps(look.event, pauses)
        ]
        for ready, look in passed_over(readies, looks):
            yield (
                f"job {ready.key[2]} was ready from {ready.since} to {ready.until}, while actor "
                f"{look.event.actor} found no more in {queue} ({look.event.invoked} to {look.event.ended})"
            )


def passed_over(readies: Iterable[Ready], looks: Iterable[Look]) -> Iterator[tuple[Ready, Look]]:
    """What was ready throughout a look, is better than the worst that it brought, and was not brought."""
    coming = sorted(readies, key=lambda ready: ready.since, reverse=True)
    there: list[Ready] = []
    for look in sorted(looks, key=lambda look: look.event.invoked):
        while coming and coming[-1].since < look.event.invoked:
            insort(there, coming.pop())
        there = [ready for ready in there if ready.until > look.event.invoked]
        for ready in there:
            if ready.key >= look.worst:
                break
            if _must_be_seen(ready, look):
                yield ready, look


def _must_be_seen(ready: Ready, look: Look) -> bool:
    is_ready_throughout = ready.until >= (look.event.ended or NEVER)
    is_due = ready.run_at <= look.event.asked["wall"]
    return is_ready_throughout and is_due and (look.known is None or ready.task in look.known)


def waits(evidence: Evidence) -> dict[str, list[Ready]]:
    """For each queue, when its jobs were surely ready before they were claimed."""
    ties = evidence.ties
    enqueued = evidence.acknowledged
    found: dict[str, list[Ready]] = {}
    for claim in evidence.taken:
        job, attempt = claim.lease
        since = NEVER
        if attempt == 1 and job in enqueued:
            since = enqueued[job].event.ended or NEVER
        elif attempt > 1:
            since = _given_back(evidence, claim)
        if since < claim.event.invoked and not evidence.on(job, "retry") and not ties.is_tied(job):
            found.setdefault(claim.queue, []).append(Ready(claim.key, since, claim.event.invoked, claim.task))
    return found


def _given_back(evidence: Evidence, claim: Taken) -> int:
    """When somebody was told that the attempt before this claim ended with the job waiting again."""
    job, attempt = claim.lease
    for ending in evidence.endings_of.get((job, attempt - 1), ()):
        if ending.answer == OK and ending.kind in AGAIN:
            return ending.event.ended or NEVER
    return NEVER


def looks_at(evidence: Evidence, queue: str) -> Iterator[Look]:
    """The claims of a queue that came back."""
    for event in evidence.all("turn"):
        if event.outcome != OK or not event.got["signed_on"]:
            continue
        for name, limit, known in event.asked["wants"]:
            if name == queue:
                yield from _look(event, queue, limit, None if known is None else frozenset(known))


def _look(event: Event, queue: str, limit: int, known: frozenset[str] | None) -> Iterator[Look]:
    jobs = [job for job in event.got["jobs"] if job[2] == queue]
    if jobs:
        yield Look(max((-job[3], job[4], job[0]) for job in jobs), event, known)
    if len(jobs) < limit and len(event.asked["wants"]) == 1 and not event.got.get("put_aside"):
        yield Look(LAST, event, known)


def perhaps_paused(evidence: Evidence, queue: str) -> list[tuple[int, int]]:
    """The times in which a queue may have been paused."""
    resumes = [one for one in evidence.all("resume") if one.asked["queue"] == queue and one.outcome == OK]
    found = []
    for pause in evidence.all("pause"):
        if pause.asked["queue"] == queue:
            later = (one.ended or NEVER for one in resumes if one.invoked > evidence.over(pause))
            found.append((pause.invoked, min(later, default=NEVER)))
    return found


def _overlaps(event: Event, times: Iterable[tuple[int, int]]) -> bool:
    return any(begun < (event.ended or NEVER) and event.invoked < ended for begun, ended in times)
