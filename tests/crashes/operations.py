"""Every public write operation: each function prepares it on a laid file and gives its steps.

A step is acknowledged when it returns. The file calls that count are those of the steps.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from litequeue.job import (
    Cancelled,
    Complete,
    Crash,
    Fail,
    Filter,
    Flow,
    Lease,
    NewJobs,
    Note,
    Parent,
    Release,
    Rule,
    Settlement,
    Snoozed,
    Start,
    StoredResult,
    Turn,
    Want,
)
from litequeue.storage.transactions import lent
from litequeue.timing import NewSchedule, Timing
from tests.crashes.rig import LARGE, WRONG, Rig, UsersOwn

Steps = list[Callable[[], object]]
JOB = NewJobs("app:task", "default", ("[[1],{}]",))
EACH_MINUTE = NewSchedule(
    "each minute",
    "app:task",
    Timing(every=60_000_000, catch_up="all"),
    json.dumps({"task": "app:task", "queue": "default", "delay": 0, "expires": None, "flow": None}),
    "[[],{}]",
)
# The ids of the laid jobs.
READY, DUE, FAILED, CANCELLED = 1, 4, 13, 14


# --- producer --------------------------------------------------------------------------------------


def enqueue(rig: Rig) -> Steps:
    return [lambda: rig.store.enqueue([JOB])] * 2


def enqueue_many(rig: Rig) -> Steps:
    bodies = [f"[[{number}],{{}}]" for number in range(300)]
    batches = [
        NewJobs("app:task", "default", bodies),
        NewJobs("app:other", "other", (LARGE, "[]"), priority=3),
    ]
    return [lambda: rig.store.enqueue(batches)]


def enqueue_large(rig: Rig) -> Steps:
    return [lambda: rig.store.enqueue([JOB._replace(payloads=(LARGE,))])]


def enqueue_flow(rig: Rig) -> Steps:
    return [lambda: rig.store.enqueue_flow(graph())]


def graph() -> list[NewJobs]:
    """Two jobs under one limit, one of them unique, and two that wait for them."""
    limit = Flow("mine", limit_key="few", rule=Rule(max_running=1))
    second = limit._replace(unique_key=None)
    last = Flow(parents=(Parent(place=0, passes=True), Parent(place=1)), takes="all")
    at_failure = Flow(parents=(Parent(place=0, runs_on="failure"),))
    return [JOB._replace(queue="graph", flow=flow) for flow in (limit, second, last, at_failure)]


def enqueue_bounded(rig: Rig) -> Steps:
    return [lambda: rig.store.enqueue([JOB], bound=1000)]


def enqueue_on_own_connection(rig: Rig) -> Steps:
    connection = rig.own_connection()
    connection.execute("INSERT INTO ledger VALUES ('mine')")
    return [lambda: _enqueue_and_commit(rig, connection)]


def _enqueue_and_commit(rig: Rig, connection: sqlite3.Connection) -> None:
    with closing(connection):
        rig.store.enqueue([JOB, JOB], connection)
        commit(connection)


def enqueue_on_own_connection_at_once(rig: Rig) -> Steps:
    connection = sqlite3.connect(rig.path, isolation_level=None)
    return [lambda: rig.store.enqueue([JOB], connection)]


def transaction(rig: Rig) -> Steps:
    return [lambda: _write_in_transaction(rig)]


def _write_in_transaction(rig: Rig) -> None:
    with lent(rig.database) as connection:
        users_own(connection, "INSERT INTO ledger VALUES ('mine')")
        rig.store.enqueue([JOB])
        users_own(connection, "INSERT INTO ledger VALUES ('mine too')")


# --- worker ----------------------------------------------------------------------------------------


def claim(rig: Rig) -> Steps:
    worker = rig.sign_on()
    return [lambda: rig.claim(worker, count=4, start=2)]


def park(rig: Rig) -> Steps:
    worker = rig.sign_on()
    want = Want("default", 1, 1, refused=frozenset({"app:task"}))
    return [lambda: rig.store.claim(worker, [want]), lambda: rig.store.claim(worker, [_reviving(want)])]


def _reviving(want: Want) -> Want:
    return Want(want.queue, 1, 1, revive=want.refused)


def complete(rig: Rig) -> Steps:
    return settling(rig, Complete)


def complete_a_parent(rig: Rig) -> Steps:
    return ending(rig, lambda lease: Complete(lease, "[1]", "json"))


def fail_a_parent(rig: Rig) -> Steps:
    return ending(rig, lambda lease: Fail(lease, WRONG))


def ending(rig: Rig, how: Callable[[Lease], Settlement]) -> Steps:
    """What a parent's end leaves no use for is cancelled by the next claim, of whatever queue."""
    rig.store.enqueue_flow(graph())
    worker = rig.sign_on()
    return [*settling(rig, how, "graph"), lambda: rig.claim(worker, "none")]


def claim_within_limits(rig: Rig) -> Steps:
    rig.store.enqueue_flow(graph())
    rig.store.limit("default", Rule(rate_count=2, rate_period=1_000_000))
    worker = rig.sign_on()
    return [lambda: rig.claim(worker, "graph", 2, 2), lambda: rig.claim(worker, "default", 3, 3)]


def complete_with_result(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Complete(lease, "[1]", "json"))


def complete_with_large_result(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Complete(lease, LARGE, "json"))


def fail(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Fail(lease, WRONG))


def fail_with_tries_left(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Fail(lease, WRONG, rig.now(60)))


def crash(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Crash(lease, WRONG))


def snooze(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Snoozed(lease, rig.now(60)))


def release(rig: Rig) -> Steps:
    return settling(rig, Release)


def cancel_from_within(rig: Rig) -> Steps:
    return settling(rig, lambda lease: Cancelled(lease, "no need"))


def settling(rig: Rig, how: Callable[[Lease], Settlement], queue: str = "default") -> Steps:
    settlement = how(rig.leased(queue))
    return [lambda: rig.store.settle(settlement)]


def take_turn(rig: Rig) -> Steps:
    worker = rig.sign_on()
    first, second, third = (job.lease for job in rig.claim(worker, count=3))
    turn = Turn(
        settlements=(Complete(first), Fail(second, WRONG, rig.now(60))),
        notes=(Note(first, logs=((1, "done"),)),),
        starts=(Start(third),),
        wants=(Want("default", 1, 2), Want("early", 1, 1)),
    )
    return [lambda: rig.store.take_turn(worker, turn)]


def start_early(rig: Rig) -> Steps:
    worker = rig.sign_on()
    _, second = rig.claim(worker, count=2)
    return [lambda: rig.store.start(Start(second.lease, "early", 1))]


def note(rig: Rig) -> Steps:
    written = Note(rig.leased(), 0.5, "half", '{"a": 1}', ((1, "one"), (2, "two")))
    return [lambda: rig.store.note(written)]


def settle_in(rig: Rig) -> Steps:
    lease = rig.leased()
    return [lambda: _complete_with_effects(rig, lease)]


def _complete_with_effects(rig: Rig, lease: Lease) -> None:
    connection = rig.database.begin()
    settled = False
    try:
        with rig.database.joining(connection):
            users_own(connection, "INSERT INTO ledger VALUES ('effect')")
            rig.store.enqueue([JOB])
        settled = rig.store.settle_in(connection, Complete(lease, "[1]", "json"), Note(lease, 1.0))
    finally:
        rig.database.finish(connection, commit=settled)


def keep_steps(rig: Rig) -> Steps:
    lease = rig.leased()
    results = {"one": StoredResult("[1]", "json"), "large": StoredResult(LARGE, "json")}
    return [partial(rig.steps.keep, lease, name, result) for name, result in results.items()]


def keep_step_with_effects(rig: Rig) -> Steps:
    lease = rig.leased()
    return [lambda: _keep_with_effects(rig, lease)]


def _keep_with_effects(rig: Rig, lease: Lease) -> None:
    with lent(rig.database) as connection:
        users_own(connection, "INSERT INTO ledger VALUES ('effect')")
        rig.store.enqueue([JOB])
        rig.steps.keep_in(connection, lease, "one", StoredResult(None, None))


def sign_on(rig: Rig) -> Steps:
    return [rig.sign_on]


def renew(rig: Rig) -> Steps:
    worker = rig.sign_on()
    return [lambda: rig.workers.renew(worker, 60_000_000)]


def announce_stop(rig: Rig) -> Steps:
    worker = rig.sign_on()
    return [lambda: rig.workers.announce_stop(worker)]


def reap(rig: Rig) -> Steps:
    return [rig.workers.reap]


def sign_off(rig: Rig) -> Steps:
    worker = rig.sign_on()
    rig.claim(worker, count=2)
    rig.claim(worker, "early")
    return [lambda: rig.workers.sign_off(worker)]


# --- operator --------------------------------------------------------------------------------------


def cancel_waiting(rig: Rig) -> Steps:
    return [lambda: rig.store.cancel(DUE, "not wanted")]


def cancel_running(rig: Rig) -> Steps:
    lease = rig.leased()
    return [lambda: rig.store.cancel(lease.job), lambda: rig.store.settle(Complete(lease))]


def cancel_all(rig: Rig) -> Steps:
    return [lambda: rig.store.cancel_all(Filter(queue="default"))]


def cancel_tree(rig: Rig) -> Steps:
    first = rig.store.enqueue_flow(graph())[0]
    return [lambda: rig.store.cancel_tree(first.id)]


def limit(rig: Rig) -> Steps:
    return [lambda: rig.store.limit("default", Rule(max_running=3))]


def retry(rig: Rig) -> Steps:
    return [lambda: rig.store.retry(FAILED)]


def retry_afresh(rig: Rig) -> Steps:
    lease = rig.leased()
    rig.steps.keep(lease, "one", StoredResult("[1]", "json"))
    rig.store.settle(Fail(lease, WRONG))
    return [lambda: rig.store.retry(lease.job, fresh=True)]


def retry_all(rig: Rig) -> Steps:
    return [lambda: rig.store.retry_all(Filter(queue="ended"))]


def delete(rig: Rig) -> Steps:
    return [lambda: rig.store.delete(CANCELLED)]


def delete_all(rig: Rig) -> Steps:
    return [lambda: rig.store.delete_all(Filter(queue="ended"))]


def prune(rig: Rig) -> Steps:
    return [rig.store.prune]


def pause_and_resume(rig: Rig) -> Steps:
    return [lambda: rig.store.pause("default"), lambda: rig.store.resume("default")]


# --- schedules -------------------------------------------------------------------------------------


def put_schedule(rig: Rig) -> Steps:
    return [lambda: rig.schedules.put([EACH_MINUTE])]


def fire(rig: Rig) -> Steps:
    rig.schedules.put([EACH_MINUTE])
    rig.clock.advance(150)
    return [rig.schedules.fire]


def change_schedule(rig: Rig) -> Steps:
    rig.schedules.put([EACH_MINUTE])
    name = EACH_MINUTE.name
    changes = (rig.schedules.pause, rig.schedules.resume, rig.schedules.run, rig.schedules.remove)
    return [partial(change, name) for change in changes]


# --- the file --------------------------------------------------------------------------------------


def open_file(rig: Rig) -> Steps:
    return [rig.open]


def enqueue_thrice(rig: Rig) -> Steps:
    return [lambda: rig.store.enqueue([JOB])] * 3


def enqueue_after_many(rig: Rig) -> Steps:
    rig.store.enqueue([JOB._replace(payloads=(LARGE,) * 20)])
    return [lambda: rig.store.enqueue([JOB])] * 2


def close(rig: Rig) -> Steps:
    rig.enqueue()
    return [rig.close]


def careless(rig: Rig) -> Steps:
    """Two commits in one step, of which nobody knows: a sweep that does not see it proves nothing."""
    connection = sqlite3.connect(rig.path, isolation_level=None)
    return [lambda: [rig.store.enqueue([JOB], connection) for _ in range(2)]]


# --- the user's part -------------------------------------------------------------------------------


def users_own(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error as error:
        raise UsersOwn from error


def commit(connection: sqlite3.Connection) -> None:
    try:
        connection.commit()
    except sqlite3.Error as error:
        raise UsersOwn from error


# --- all of them -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """How an operation is prepared, and on what."""

    prepare: Callable[[Rig], Steps]
    files: str = "laid"
    is_opened: bool = True
    keeper: Mapping[str, int] = field(default_factory=dict)  # other measures for the keeper of the log


# A keeper that copies the log after every commit, and never lays it out; and one that does only that.
COPYING = {"_COMMITS": 1, "_COMMITS_BETWEEN_LOOKS": 1, "_FRAMES": 1, "_COMMITS_BEFORE_ROOM": 1 << 40}
LAYING_OUT = {"_COMMITS": 1 << 40, "_COMMITS_BETWEEN_LOOKS": 1, "_FRAMES": 50, "_COMMITS_BEFORE_ROOM": 2}

PLAIN = (
    *(enqueue, enqueue_many, enqueue_large, enqueue_flow, enqueue_bounded, enqueue_on_own_connection),
    *(enqueue_on_own_connection_at_once, transaction),
    *(claim, claim_within_limits, park, complete, complete_a_parent, fail_a_parent, complete_with_result),
    *(complete_with_large_result, fail, fail_with_tries_left, crash, snooze, release, cancel_from_within),
    *(
        take_turn,
        start_early,
        note,
        settle_in,
        keep_steps,
        keep_step_with_effects,
        sign_on,
        renew,
        announce_stop,
        reap,
        sign_off,
    ),
    *(
        cancel_waiting,
        cancel_running,
        cancel_all,
        cancel_tree,
        retry,
        retry_afresh,
        retry_all,
        delete,
        delete_all,
        prune,
    ),
    *(pause_and_resume, limit, put_schedule, fire, change_schedule, close),
)
CARELESS = careless.__name__
OPERATIONS = {
    **{each.__name__: Operation(each) for each in PLAIN},
    "create": Operation(open_file, files="none", is_opened=False),
    "open": Operation(open_file, is_opened=False),
    "open_after_a_crash": Operation(open_file, files="crashed", is_opened=False),
    "checkpoint": Operation(enqueue_thrice, keeper=COPYING),
    "cut_log": Operation(enqueue_after_many, keeper={**COPYING, "LOG_LIMIT": 20_000}),
    CARELESS: Operation(careless),
    "lay_out_log": Operation(enqueue_thrice, keeper=LAYING_OUT),
}
