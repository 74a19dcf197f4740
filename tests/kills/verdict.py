"""The judgement over one storm: what breaks a rule, and what the storm came to."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .evidence import NEVER, Evidence
from .history import OK, REFUSED, UNKNOWN
from .rules import RULES
from .shares import duplicates

_SHOWN = 20


def findings(evidence: Evidence) -> list[str]:
    """What breaks which rule; of each rule the first few."""
    found = []
    for rule in RULES:
        broken = list(rule(evidence))
        found += [f"{rule.__name__}: {each}" for each in broken[:_SHOWN]]
        if len(broken) > _SHOWN:
            found.append(f"{rule.__name__}: {len(broken) - _SHOWN} more")
    return found


def counts(evidence: Evidence) -> dict[str, Any]:
    """What happened, in numbers."""
    zombies = late_settlements(evidence)
    return {
        "events": len(evidence.events),
        "actors": len(evidence.all("fork")),
        "acknowledged": sum(one.id is not None for one in evidence.asked),
        "claims": len(evidence.taken),
        "settled": sum(one.answer == OK for one in evidence.endings),
        "effects": len(evidence.remains.effects),
        "ends": dict(Counter(job.state for job in evidence.remains.jobs.values())),
        **tied(evidence),
        "pruned": sum(event.got for event in evidence.all("prune") if event.outcome == OK),
        "zombies": zombies,
        "struck": dict(struck(evidence)),
    }


def tied(evidence: Evidence) -> dict[str, int]:
    """How often jobs waited for others, in each of the ways there are."""
    ties, jobs = evidence.ties, evidence.remains.jobs.values()
    return {
        "graphs": sum(event.outcome == OK for event in evidence.all("enqueue_flow")),
        "children": sum(bool(ties.edges(claim.lease[0])) for claim in evidence.taken),
        "cascades": sum(job.reason == "parent" for job in jobs),
        "duplicates": sum(1 for _ in duplicates(evidence)),
        "limited": sum(claim.lease[0] in ties.limits for claim in evidence.taken),
        "firings": sum(job.schedule is not None for job in jobs),
    }


def struck(evidence: Evidence) -> Counter[str]:
    """How many processes were killed in the middle of each verb."""
    killed = {event.asked["actor"] for event in evidence.all("kill", "bury") if event.got in (-9, -14)}
    return Counter(
        event.do for event in evidence.events if event.outcome == UNKNOWN and event.actor in killed
    )


def late_settlements(evidence: Evidence) -> dict[str, int]:
    """What became of the settlements of processes that were stopped for longer than their leases."""
    stops = {(event.asked["actor"], event.invoked) for event in evidence.all("stop")}
    answers: Counter[str] = Counter()
    for ending in evidence.endings:
        claims = evidence.taken_as.get(ending.lease)
        begun, ended = claims[0].event.invoked if claims else NEVER, ending.event.invoked
        if any(actor == ending.event.actor and begun < at < ended for actor, at in stops):
            answers[ending.answer] += 1
    return {"refused": answers[REFUSED], "accepted": answers[OK]}
