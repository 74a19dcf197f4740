"""What must be true after a storm. Each rule is a function of the evidence that finds what breaks it.

What was killed before it was told counts as either: it may have been done, and it may not.
"""

from __future__ import annotations

import itertools
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from litequeue.job import FINAL

from .evidence import NEVER, Asked, Ending, Evidence
from .graphs import (
    callbacks_run_as_the_parent_ended,
    children_get_the_results_of_their_parents,
    children_wait_their_turn,
    edges_are_as_asked_for,
    ends_have_a_cause,
    graphs_are_whole,
    may_be_useless,
)
from .history import ERROR, OK, REFUSED, Event
from .order import nothing_is_overtaken, nothing_ready_is_passed_over
from .shares import (
    a_duplicate_is_alive,
    a_firing_makes_one_job,
    a_unique_key_is_held_by_one,
    limits_hold,
    no_firing_is_left_out,
    nothing_is_fired_before_its_time,
)
from .tasks import EFFECT, child_of

Rule = Callable[[Evidence], Iterator[str]]
_LASTING = 3600 * 1_000_000
# What the house says of kills and refusals is as it should be; anything else it warns of is not.
EXPECTED = re.compile(
    r"fail job=|lease lost |reap jobs=|.* has grown to |release job=.* no longer owns job|"
    r"skip schedule=strict: job \d+ has its unique key"
)
_ENDING_KINDS = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}


# --- what was asked and what is stored -------------------------------------------------------------


def no_unexpected_error(evidence: Evidence) -> Iterator[str]:
    """Nobody met an error but the refusals that are promised, or died by itself."""
    for event in evidence.events:
        if event.outcome == ERROR:
            yield f"actor {event.actor}, {event.do}: {event.got}"
    for event in evidence.all("log"):
        if not EXPECTED.match(event.asked["text"]):
            yield f"actor {event.actor} logged: {event.asked['text']}"
    for event in evidence.all("died"):
        yield f"actor {event.actor} died: {event.asked['traceback']}"
    for event in evidence.all("kill", "bury"):
        if event.got not in (0, -signal.SIGKILL, -signal.SIGALRM, -signal.SIGTERM):
            yield f"actor {event.asked['actor']} ended with {event.got}"


def acknowledged_is_stored(evidence: Evidence) -> Iterator[str]:
    """Every enqueue that returned is stored under its id, unless it was deleted or pruned."""
    ties = evidence.ties
    for one in evidence.asked:
        if one.id is None:
            continue
        stored = evidence.remains.jobs.get(one.id)
        if stored is None and not may_be_gone(evidence, one):
            yield f"job {one.id} ({one.token}) was acknowledged and is not there"
        tokens = {one.token, *(other.token for other in ties.replacing(one.id))}
        if stored is not None and stored.token not in tokens:
            yield f"job {one.id} was acknowledged as {one.token} and is {stored.token}"


def may_be_gone(evidence: Evidence, one: Asked) -> bool:
    """Whether somebody deleted the job, or it had ended and its retention was short, or it had no use."""
    assert one.id is not None
    if any(event.outcome != REFUSED for event in evidence.on(one.id, "delete")):
        return True
    if may_be_useless(one):
        return True
    retention = one.batch["retention"]
    return retention is not None and retention < _LASTING and may_have_ended(evidence, one)


def may_have_ended(evidence: Evidence, one: Asked) -> bool:
    """Whether something happened to the job that can bring it to an end."""
    assert one.id is not None
    if evidence.ties.cancels(one.id):
        return True
    endings = (
        ending
        for n in evidence.attempts.get(one.id, ())
        for ending in evidence.endings_of.get((one.id, n), ())
    )
    return one.batch["ack"] == "early" or any(
        ending.kind in _ENDING_KINDS and ending.answer != REFUSED for ending in endings
    )


def ids_are_given_once(evidence: Evidence) -> Iterator[str]:
    """No two jobs were acknowledged under one id."""
    ids = Counter(one.id for one in evidence.asked if one.id is not None)
    for id, times in ids.items():
        if times > 1:
            yield f"id {id} was acknowledged {times} times"


def stored_was_asked_for(evidence: Evidence) -> Iterator[str]:
    """Nothing is stored that nobody asked for, that was rolled back, or twice."""
    wanted = {one.token for one in evidence.asked}
    wanted |= {child_of(one.token) for one in evidence.asked if one.batch["task"] == EFFECT}
    undone = {one.token for one in evidence.asked if one.is_undone}
    times = Counter(job.token for job in evidence.remains.jobs.values())
    for job in evidence.remains.jobs.values():
        if job.schedule is not None:
            continue
        if job.token not in wanted:
            yield f"job {job.id} ({job.token}) is stored, and nobody asked for it"
        if job.token in undone:
            yield f"job {job.id} ({job.token}) is stored, and its transaction was rolled back"
        if times[job.token] > 1:
            yield f"job {job.id} ({job.token}) is stored {times[job.token]} times"


def bulks_are_whole(evidence: Evidence) -> Iterator[str]:
    """Of an enqueue that was killed, all is stored or nothing; a row of one's own with it."""
    there = {job.token for job in evidence.remains.jobs.values()}
    rows = set(evidence.remains.ledger)
    for event in evidence.all("enqueue"):
        tokens = [token for batch in event.asked["batches"] for token in batch["tokens"]]
        is_lasting = all(batch["retention"] is None for batch in event.asked["batches"])
        found = sum(token in there for token in tokens)
        if event.outcome != OK and is_lasting and found not in (0, len(tokens)):
            yield f"of {len(tokens)} jobs of actor {event.actor}, enqueued together, {found} are stored"
        row = event.asked.get("row")
        if row is not None and (row in rows) != (row in there) and not _was_deleted(evidence, event):
            yield f"the row {row} is {'there' if row in rows else 'missing'}, and its job is not alike"


def _was_deleted(evidence: Evidence, event: Event) -> bool:
    ids = event.got if event.outcome == OK else ()
    return any(one.outcome != REFUSED for id in ids for one in evidence.on(id, "delete"))


def everything_ends(evidence: Evidence) -> Iterator[str]:
    """After the drain every job is in a final state, and no worker is signed on."""
    for job in evidence.remains.jobs.values():
        if job.state not in FINAL:
            yield f"job {job.id} is {job.state} after the drain, at attempt {job.attempt}"
    if evidence.remains.workers:
        yield f"{evidence.remains.workers} workers are still signed on"


def pruned_is_counted(evidence: Evidence) -> Iterator[str]:
    """As many jobs are gone as prunes and deletes have said, and no more than they can have taken."""
    gone = sum(id not in evidence.remains.jobs for id in evidence.acknowledged)
    prunes, deletes = evidence.all("prune"), evidence.all("delete")
    told = sum(event.got for event in prunes if event.outcome == OK)
    told += sum(event.outcome == OK for event in deletes)
    holes = evidence.remains.last_id - len(evidence.remains.jobs)
    if told > holes:
        yield f"{told} jobs were said to be pruned or deleted, and only {holes} are gone"
    open_ends = sum(event.asked["limit"] for event in prunes if event.outcome != OK)
    open_ends += sum(event.outcome not in (OK, REFUSED) for event in deletes)
    if gone > told + open_ends:
        yield f"{gone} acknowledged jobs are gone, but {told} (or {open_ends} more) were pruned or deleted"


def the_file_is_sound(evidence: Evidence) -> Iterator[str]:
    """The invariants of every sound file hold."""
    yield from evidence.remains.broken


# --- leases and settlements ------------------------------------------------------------------------


def a_lease_is_settled_once(evidence: Evidence) -> Iterator[str]:
    """Of each attempt at most one settlement is accepted."""
    for lease, endings in evidence.endings_of.items():
        accepted = [ending for ending in endings if ending.answer == OK]
        if len(accepted) > 1:
            kinds = ", ".join(f"{one.kind} by {one.event.actor}" for one in accepted)
            yield f"job {lease[0]} attempt {lease[1]} was settled {len(accepted)} times: {kinds}"


def a_lease_has_one_owner(evidence: Evidence) -> Iterator[str]:
    """No attempt is given to two, and none while the one before it is surely alive and unsettled."""
    for lease, claims in evidence.taken_as.items():
        if len(claims) > 1:
            actors = ", ".join(str(one.event.actor) for one in claims)
            yield f"job {lease[0]} attempt {lease[1]} was given to {len(claims)}: actors {actors}"
    for next_claim in evidence.taken:
        job, attempt = next_claim.lease
        for claim in evidence.taken_as.get((job, attempt - 1), ()):
            ended = next_claim.event.ended or NEVER
            if ended < evidence.surely_held_until(claim, next_claim.event):
                yield (
                    f"job {job} attempt {attempt} was given to actor {next_claim.event.actor} while actor "
                    f"{claim.event.actor} held attempt {attempt - 1}"
                )


def no_lease_ends_early(evidence: Evidence) -> Iterator[str]:
    """Whoever holds a lease that surely runs is not refused its settlement."""
    for lease, claims in evidence.taken_as.items():
        endings = evidence.endings_of.get(lease, ())
        for ending in endings:
            if ending.answer != REFUSED or ending.event.actor != claims[0].event.actor:
                continue
            worker, ended = claims[0].worker, ending.event.ended or NEVER
            runs = ended < min(
                evidence.leased_until(worker, ending.event.invoked), evidence.left.get(worker, NEVER)
            )
            if runs and not _explains(evidence, ending, endings):
                yield (
                    f"job {lease[0]} attempt {lease[1]}: actor {ending.event.actor} was refused its "
                    f"{ending.kind}, and its lease had not ended"
                )


def _explains(evidence: Evidence, refused: Ending, endings: Sequence[Ending]) -> bool:
    """Whether the lease had been settled before; or the job was asked to stop, which undoes a transaction."""
    before = (one for one in endings if one is not refused and one.event.invoked < (refused.event.ended or 0))
    if any(one.answer != REFUSED for one in before):
        return True
    return refused.is_in_transaction and bool(evidence.ties.cancels(refused.lease[0]))


def attempts_rise(evidence: Evidence) -> Iterator[str]:
    """A later claim of a job has a higher attempt."""
    for job, attempts in evidence.attempts.items():
        for earlier, later in itertools.pairwise(attempts):
            for one in evidence.taken_as[job, earlier]:
                for other in evidence.taken_as[job, later]:
                    if (other.event.ended or NEVER) < one.event.invoked:
                        yield f"job {job}: attempt {earlier} was claimed after attempt {later}"


def the_late_are_refused(evidence: Evidence) -> Iterator[str]:
    """No settlement of an attempt is accepted once a later attempt is known to exist."""
    for lease, endings in evidence.endings_of.items():
        job, attempt = lease
        later = [n for n in evidence.attempts.get(job, ()) if n > attempt]
        known = min((evidence.taken_as[job, n][0].event.ended or NEVER for n in later), default=NEVER)
        for ending in endings:
            if ending.answer == OK and ending.event.invoked > known:
                yield f"job {job}: {ending.kind} of attempt {attempt} was accepted after a later claim"


def an_end_stands(evidence: Evidence) -> Iterator[str]:
    """What was accepted as the end of a job is how it is stored, unless an operator came between."""
    ties = evidence.ties
    for ending in evidence.endings:
        state = _ENDING_KINDS.get(ending.kind)
        stored = evidence.remains.jobs.get(ending.lease[0])
        if state is None or ending.answer != OK or stored is None:
            continue
        if (
            not ties.cancels(stored.id)
            and not evidence.on(stored.id, "retry")
            and (stored.state, stored.attempt)
            != (
                state,
                ending.lease[1],
            )
        ):
            yield (
                f"job {stored.id} attempt {ending.lease[1]} was accepted as {state}, and is {stored.state} "
                f"at attempt {stored.attempt}"
            )


def completed_was_claimed_and_asked_for(evidence: Evidence) -> Iterator[str]:
    """What is completed was settled so by whoever held its last attempt."""
    for job in evidence.remains.jobs.values():
        endings = evidence.endings_of.get((job.id, job.attempt), ())
        if job.state == "completed" and not any(
            one.kind == "complete" and one.answer != REFUSED for one in endings
        ):
            yield f"job {job.id} is completed at attempt {job.attempt}, and nobody completed that"


def cancelled_is_not_claimed(evidence: Evidence) -> Iterator[str]:
    """A job that was cancelled while it waited is not run, unless somebody retried it."""
    cancelled = [
        event for event in evidence.all("cancel") if event.outcome == OK and event.got == "cancelled"
    ]
    for event in cancelled:
        job = event.asked["job"]
        if evidence.on(job, "retry"):
            continue
        for attempt in evidence.attempts.get(job, ()):
            claim = evidence.taken_as[job, attempt][0]
            if claim.event.invoked > (event.ended or NEVER):
                yield f"job {job} was claimed after it was cancelled"


def nothing_is_claimed_from_a_paused_queue(evidence: Evidence) -> Iterator[str]:
    """No job comes from a queue that is surely paused."""
    for pause in evidence.all("pause"):
        queue, begun = pause.asked["queue"], pause.ended or NEVER
        resumes = [one for one in evidence.all("resume") if one.asked["queue"] == queue]
        until = min((one.invoked for one in resumes if evidence.over(one) > pause.invoked), default=NEVER)
        for claim in evidence.taken_between(begun, until) if pause.outcome == OK else ():
            if claim.queue == queue:
                yield f"job {claim.lease[0]} was claimed while {queue} was paused"


# --- effects ---------------------------------------------------------------------------------------


def effects_are_there_once(evidence: Evidence) -> Iterator[str]:
    """What a task wrote in its transaction is there once if the job completed, else not at all."""
    jobs = evidence.remains.jobs
    times = Counter(job for job, _ in evidence.remains.effects)
    last = dict(evidence.remains.effects)
    for job in jobs.values():
        wanted = int(job.task == EFFECT and job.state == "completed")
        if times[job.id] != wanted:
            yield f"job {job.id} ({job.task}) is {job.state}, and its effect is there {times[job.id]} times"
        elif wanted and last[job.id] != job.attempt:
            yield f"job {job.id} completed at attempt {job.attempt}, and its effect is of {last[job.id]}"
    for id in times.keys() - jobs.keys():
        if times[id] > 1:
            yield f"job {id} is gone, and its effect is there {times[id]} times"


def effects_have_their_child(evidence: Evidence) -> Iterator[str]:
    """The job that a task enqueued in its transaction is there with its effect, and never without."""
    there = {job.token for job in evidence.remains.jobs.values()}
    names = {id: one.token for id, one in evidence.acknowledged.items()}
    names |= {job.id: job.token for job in evidence.remains.jobs.values()}
    known = set(names.values())
    parents = {child_of(names[job]) for job, _ in evidence.remains.effects if job in names}
    for token in parents - there:
        yield f"the effect of {token.rpartition('/')[0]} is there, and the job it enqueued is not"
    for token in there:
        if token.endswith("/child") and token not in parents and token.removesuffix("/child") in known:
            yield f"the job {token} is there, and the effect that enqueued it is not"


def once_is_at_most_once(evidence: Evidence) -> Iterator[str]:
    """A job that wants to run at most once does not begin again, unless an attempt or an operator said so."""
    times = Counter(event.asked["lease"][0] for event in evidence.all("began"))
    again = Counter(
        one.lease[0]
        for one in evidence.endings
        if one.kind in ("again", "snooze", "release") and one.answer != REFUSED
    )
    for job, began in times.items():
        if began > 1 + again[job] + sum(one.outcome != REFUSED for one in evidence.on(job, "retry")):
            yield f"job {job} is to run at most once, and began {began} times"


RULES: tuple[Rule, ...] = (
    no_unexpected_error,
    acknowledged_is_stored,
    ids_are_given_once,
    stored_was_asked_for,
    bulks_are_whole,
    everything_ends,
    pruned_is_counted,
    the_file_is_sound,
    a_lease_is_settled_once,
    a_lease_has_one_owner,
    no_lease_ends_early,
    attempts_rise,
    the_late_are_refused,
    an_end_stands,
    completed_was_claimed_and_asked_for,
    cancelled_is_not_claimed,
    nothing_is_claimed_from_a_paused_queue,
    effects_are_there_once,
    effects_have_their_child,
    once_is_at_most_once,
    nothing_is_overtaken,
    nothing_ready_is_passed_over,
    graphs_are_whole,
    edges_are_as_asked_for,
    children_wait_their_turn,
    children_get_the_results_of_their_parents,
    callbacks_run_as_the_parent_ended,
    ends_have_a_cause,
    a_unique_key_is_held_by_one,
    a_duplicate_is_alive,
    limits_hold,
    a_firing_makes_one_job,
    nothing_is_fired_before_its_time,
    no_firing_is_left_out,
)
