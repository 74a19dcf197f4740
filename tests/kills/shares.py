"""What must be true of what jobs share: unique keys, limits, and the firings of schedules."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator

from .evidence import NEVER, Asked, Ending, Evidence, Taken, grouped
from .flows import ALL, EVERY
from .history import OK, REFUSED
from .ties import Life, Ties

_HOLDER = re.compile(r"job (\d+) has the unique key '(.*)' already")
_PERIOD = round(EVERY * 1e6)


# --- unique keys -----------------------------------------------------------------------------------


def a_unique_key_is_held_by_one(evidence: Evidence) -> Iterator[str]:
    """No two jobs surely bind the same unique key at the same time."""
    ties = evidence.ties
    holders = grouped((key, job) for job, key in ties.keys.items())
    for key, jobs in holders.items():
        times = sorted((life, job) for job in jobs for life in _binds(ties, job))
        last: tuple[Life, int] | None = None
        for life, job in times:
            if last is not None and last[1] != job and life.since < last[0].until:
                yield f"job {job} has the unique key {key!r}, which job {last[1]} had until later"
            if last is None or life.until > last[0].until:
                last = life, job


def _binds(ties: Ties, job: int) -> list[Life]:
    return ties.waits(job) if ties.is_replaceable(job) else ties.lives(job)


def a_duplicate_is_alive(evidence: Evidence) -> Iterator[str]:
    """Who meets another job with its unique key is told of one that has the key and has not completed."""
    ties = evidence.ties
    for asked, job in duplicates(evidence):
        key = asked.flow["key"]
        if ties.keys.get(job, key) != key:
            yield f"{asked.token} was told that job {job} has its key {key!r}, which has {ties.keys[job]!r}"
        ended = min((one.event.ended or NEVER for one in ties.endings(job) if _is_end(one)), default=NEVER)
        if ended < asked.event.invoked:
            yield f"{asked.token} was told that job {job} has its key {key!r}, which had completed"


def _is_end(ending: Ending) -> bool:
    return ending.kind == "complete" and ending.answer == OK


def duplicates(evidence: Evidence) -> Iterator[tuple[Asked, int]]:
    """What was asked for with a key that another had, and who that was."""
    for asked in evidence.asked:
        if asked.found is not None:
            yield asked, asked.found
        told = _HOLDER.match(str(asked.event.got)) if asked.event.outcome == REFUSED else None
        if told and told[2] == asked.flow.get("key"):
            yield asked, int(told[1])


# --- limits ----------------------------------------------------------------------------------------


def limits_hold(evidence: Evidence) -> Iterator[str]:
    """Never do more jobs surely run under a limit than it allows."""
    ties = evidence.ties
    allowed = {one.flow["limit"]: one.flow["max_running"] for one in evidence.asked if one.flow.get("limit")}
    running: dict[str, list[Taken]] = {}
    for claim in sorted(evidence.taken, key=lambda claim: claim.event.ended or NEVER):
        limit = ties.limits.get(claim.lease[0])
        if limit is None:
            continue
        others = [
            one
            for one in running.get(limit, ())
            if evidence.surely_held_until(one, claim.event) > claim.event.invoked
        ]
        beside = [
            one for one in others if one.lease[0] != claim.lease[0] and _is_beside(evidence, one, claim)
        ]
        if len(beside) >= allowed[limit]:
            ids = ", ".join(str(one.lease[0]) for one in beside)
            yield f"job {claim.lease[0]} was claimed under {limit!r} while {ids} ran"
        running[limit] = [*others, claim]


def _is_beside(evidence: Evidence, running: Taken, claim: Taken) -> bool:
    """Whether one surely ran throughout another's claim, or was claimed with it."""
    if running.event is claim.event:
        return True
    begun, until = running.event.ended or NEVER, evidence.surely_held_until(running, claim.event)
    return begun < claim.event.invoked and (claim.event.ended or NEVER) < until


# --- schedules -------------------------------------------------------------------------------------


def a_firing_makes_one_job(evidence: Evidence) -> Iterator[str]:
    """Of each firing of a schedule there is one job, whoever fired it, and who was told of it finds it."""
    jobs = evidence.remains.jobs
    times = Counter((job.schedule, job.scheduled_for) for job in jobs.values() if job.schedule is not None)
    for (schedule, firing), number in times.items():
        if number > 1:
            yield f"schedule {schedule} made {number} jobs for {firing}"
    told = Counter(id for event in evidence.all("fire") if event.outcome == OK for id in event.got["jobs"])
    for id, number in told.items():
        if number > 1:
            yield f"job {id} was made by {number} firings"
        if id not in jobs or jobs[id].schedule is None:
            yield f"job {id} was made by a schedule, and is not there"


def nothing_is_fired_before_its_time(evidence: Evidence) -> Iterator[str]:
    """No job of a schedule is made before the instant that it is for."""
    jobs = evidence.remains.jobs
    for job in jobs.values():
        if job.scheduled_for is not None and job.created_at < job.scheduled_for:
            yield f"job {job.id} was made at {job.created_at} for {job.scheduled_for}"
    for event in evidence.all("fire"):
        for id in event.got["jobs"] if event.outcome == OK else ():
            if id in jobs and (jobs[id].scheduled_for or 0) > event.got["wall"]:
                yield f"job {id} was made by {event.got['wall']} for {jobs[id].scheduled_for}"


def no_firing_is_left_out(evidence: Evidence) -> Iterator[str]:
    """A schedule that catches up with all has a job for each instant, from its first to its last."""
    firings = sorted(job.scheduled_for or 0 for job in evidence.remains.jobs.values() if job.schedule == ALL)
    for firing in firings:
        if firing % _PERIOD:
            yield f"schedule {ALL} fired at {firing}, which is no instant of it"
    for firing, following in itertools.pairwise(firings):
        if following - firing > _PERIOD:
            yield f"between {firing} and {following} schedule {ALL} has left firings out"
