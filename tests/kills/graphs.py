"""What must be true of jobs that wait for others: graphs are whole, and each job runs when it is its turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .evidence import NEVER, Asked, Edge, Evidence, Stored, Taken
from .history import OK, REFUSED
from .ties import Life, Ties

_WANTED = {"completed": ("success", "end"), "failed": ("failure", "end"), "cancelled": ("end",)}
_CRASHES, _PATIENT = 3, 1_000


def graphs_are_whole(evidence: Evidence) -> Iterator[str]:
    """Of a graph all is stored or nothing: all if that was told, nothing if it was refused."""
    there = {job.token for job in evidence.remains.jobs.values()}
    nodes: dict[int, list[Asked]] = {}
    for one in evidence.asked:
        if one.event.do == "enqueue_flow":
            nodes.setdefault(id(one.event), []).append(one)
    for asked in nodes.values():
        event = asked[0].event
        stored = [one for one in asked if one.token in there]
        surely = [one for one in asked if not _may_be_missing(evidence, one)]
        if event.outcome == REFUSED and stored:
            yield f"actor {event.actor} was refused a graph, and {stored[0].token} of it is stored"
            continue
        missing = [one.token for one in surely if one.token not in there]
        if missing and (stored or event.outcome == OK):
            yield f"of the graph of {asked[0].token} {len(stored)} jobs are stored, and {missing} are not"


def _may_be_missing(evidence: Evidence, one: Asked) -> bool:
    """Whether it has a key that another may have had, somebody deleted it, or it was of no use any more."""
    is_deleted = one.id is not None and any(
        event.outcome != REFUSED for event in evidence.on(one.id, "delete")
    )
    return is_deleted or one.flow.get("key") is not None or may_be_useless(one)


def may_be_useless(one: Asked) -> bool:
    """Whether it is to run when another fails: when that completes it is cancelled, and soon pruned."""
    return any(runs_on == "failure" for _, _, runs_on, _ in one.flow.get("parents", ()))


def edges_are_as_asked_for(evidence: Evidence) -> Iterator[str]:
    """Who waits for whom is stored as it was asked for, but for parents that are gone."""
    ties, jobs = evidence.ties, evidence.remains.jobs
    for child, asked in ties.asked_edges.items():
        if child not in jobs or ties.replacing(child):
            continue
        stored = ties.stored_edges.get(child, [])
        if [edge for edge in asked if edge.parent in jobs] != [e for e in stored if e.parent in jobs]:
            yield f"job {child} was to wait for {asked}, and waits for {stored}"


def children_wait_their_turn(evidence: Evidence) -> Iterator[str]:
    """A job is claimed only after all its parents have ended, each in the way that it wants."""
    ties = evidence.ties
    for claim in evidence.taken:
        for edge in ties.edges(claim.lease[0]):
            why = _too_early(ties, claim, edge)
            if why:
                yield f"job {edge.child} was claimed by actor {claim.event.actor}, and its parent {why}"


def _too_early(ties: Ties, claim: Taken, edge: Edge) -> str | None:
    told = claim.event.ended or NEVER
    if any(told < life.until and _must_be_seen(ties, edge, life) for life in ties.lives(edge.parent)):
        return f"{edge.parent} had not ended"
    if any(one.invoked < told for one in ties.own_retries(edge.child)):
        return None  # an operator wanted it, however its parents had ended
    if edge.runs_on == "success" and not _may_have(ties, edge.parent, "complete", told):
        return f"{edge.parent} had not completed"
    if edge.runs_on == "failure" and not (
        _may_have(ties, edge.parent, "fail", told) or may_crash(ties.evidence, edge.parent)
    ):
        return f"{edge.parent} had not failed"
    return None


def _must_be_seen(ties: Ties, edge: Edge, life: Life) -> bool:
    """Whether the child surely waited when this life of its parent began, be it for another one."""
    others = (other.parent for other in ties.edges(edge.child) if other.parent != edge.parent)
    return life.is_first or any(
        one.is_first and life.since < one.until for other in others for one in ties.lives(other)
    )


def _may_have(ties: Ties, job: int, kind: str, before: int) -> bool:
    """Whether somebody asked for this end of a job before that instant, and was not refused."""
    return any(
        one.kind == kind and one.answer != REFUSED and one.event.invoked < before for one in ties.endings(job)
    )


def may_crash(evidence: Evidence, job: int) -> bool:
    """Whether a job may fail without a word of anybody: its workers died too often, or once too often."""
    asked, stored = evidence.acknowledged.get(job), evidence.remains.jobs.get(job)
    if asked is not None:
        return _is_mortal(asked.batch["max_crashes"], asked.batch["ack"], asked.batch["task"])
    return stored is None or _is_mortal(stored.max_crashes, stored.ack, stored.task)


def _is_mortal(max_crashes: int | None, ack: str | None, task: str) -> bool:
    return ack == "early" or task.endswith(":once") or max_crashes is None or max_crashes < _PATIENT


def children_get_the_results_of_their_parents(evidence: Evidence) -> Iterator[str]:
    """What is handed to a job are the results of its parents, in order; None for those that have none."""
    ties = evidence.ties
    for claim in evidence.taken:
        yield from _misled(ties, claim, claim.received, "handed")
    for event in evidence.all("given"):
        for claim in evidence.taken_as.get(tuple(event.asked["lease"]), ()):
            yield from _misled(ties, claim, event.asked["value"], "called with")


def _misled(ties: Ties, claim: Taken, received: Any, verb: str) -> Iterator[str]:
    passing = [edge for edge in ties.edges(claim.lease[0]) if edge.passes]
    if received is None or not passing:
        return
    is_list, results = received
    if not is_list and len(passing) != 1:
        yield f"job {claim.lease[0]} takes one result, and has {len(passing)} parents that pass theirs"
    if len(results) != len(passing):
        yield f"job {claim.lease[0]} was {verb} {len(results)} results of {len(passing)} parents"
        return
    for edge, result in zip(passing, results, strict=True):
        if result not in _results(ties, edge):
            yield f"job {edge.child} was {verb} {result} as the result of its parent {edge.parent}"


def _results(ties: Ties, edge: Edge) -> tuple[object, ...]:
    """What a parent can have returned by the time that it ended."""
    parent = ties.evidence.remains.jobs.get(edge.parent)
    if parent is None:
        return AnyResult()
    last = parent.result if parent.state == "completed" else None
    return (last, None) if ties.retries(edge.parent) else (last,)


class AnyResult(tuple[object, ...]):
    """Of a parent that is gone nobody knows what it returned."""

    __slots__ = ()

    def __contains__(self, _: object) -> bool:
        return True


def callbacks_run_as_the_parent_ended(evidence: Evidence) -> Iterator[str]:
    """A job whose parents ended as it wants is not given up because of them; any other never runs."""
    ties, jobs = evidence.ties, evidence.remains.jobs
    for child in jobs.values():
        edges = ties.edges(child.id)
        unwanted = [edge for edge in edges if edge.parent not in jobs or not _is_wanted(edge, jobs)]
        if child.reason == "parent" and edges and not unwanted and child.unique_key is None:
            yield f"job {child.id} was cancelled with a parent, and all of them ended as it wants"
        if ties.own_retries(child.id) or not child.attempt:
            continue
        for edge in unwanted:
            if edge.parent in jobs and not (edge.runs_on == "failure" and ties.retries(edge.parent)):
                state = jobs[edge.parent].state
                yield f"job {child.id} ran on the {edge.runs_on} of job {edge.parent}, which is {state}"


def _is_wanted(edge: Edge, jobs: dict[int, Stored]) -> bool:
    return edge.runs_on in _WANTED.get(jobs[edge.parent].state, ())


def ends_have_a_cause(evidence: Evidence) -> Iterator[str]:
    """What failed or was cancelled did so because somebody said so, or for the reason that it names."""
    ties = evidence.ties
    for job in evidence.remains.jobs.values():
        if job.reason is not None and not _is_caused(ties, job):
            yield f"job {job.id} is {job.state} ({job.reason}), and nothing led to it"


def _is_caused(ties: Ties, job: Stored) -> bool:
    match job.reason:
        case "error" | "rejected" | "timeout":
            return _was_settled(ties, job, "fail")
        case "crashed":
            return job.attempt >= (_CRASHES if job.max_crashes is None else job.max_crashes)
        case "lost":
            return job.attempt > 0 and job.ack == "early"
        case "cancelled":
            return bool(ties.cancels(job.id)) or _was_settled(ties, job, "cancel")
        case "expired":
            return bool(job.expires_at)
        case "replaced":
            return ties.is_replaceable(job.id)
        case "parent":
            return bool(ties.edges(job.id) or ties.replacing(job.id))
    return False


def _was_settled(ties: Ties, job: Stored, kind: str) -> bool:
    endings = ties.evidence.endings_of.get((job.id, job.attempt), ())
    return any(one.kind == kind and one.answer != REFUSED for one in endings)
