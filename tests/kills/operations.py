"""What a driver may do next: each operation has a weight, and is a function of the driver.

A new verb of the store is added here, told in `told.py`, and judged in `rules.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from litequeue.job import (
    Cancelled,
    Claimed,
    Complete,
    Fail,
    Failure,
    NewJobs,
    Release,
    Settlement,
    Snoozed,
    Turn,
    Want,
)

from .history import REFUSALS
from .tasks import ADD_EFFECT, EFFECT, ONCE, WORK, child_of
from .told import asked_for, now, payload, token_of

if TYPE_CHECKING:
    from .driver import Driver

QUEUES = ("default", "other")
WRONG = Failure("error", "Wrong", "it is to fail", "Traceback …")
_LONGEST_DELAY = 300_000
_SHORTEST_RETENTION, _LONGEST_RETENTION = 0, 200_000
_PADDING = "x" * 5_000  # beside the row, not in it


class Operation(NamedTuple):
    """Something a driver does, and how often compared with the others."""

    act: Callable[[Driver], None]
    weight: float


# --- enqueue ---------------------------------------------------------------------------------------


def enqueue_one(driver: Driver) -> None:
    """One job, of any kind."""
    if not driver.is_full():
        driver.remember(driver.store.enqueue([new_jobs(driver, 1)]))


def enqueue_many(driver: Driver) -> None:
    """A few jobs in one transaction, of two kinds, or many of one."""
    if driver.is_full():
        return
    driver.diary.light_fuse("enqueue_many")
    sizes = driver.random.choice(((2, 3), (20,), (1, 1)))
    driver.remember(driver.store.enqueue([new_jobs(driver, size, lasting=True) for size in sizes]))


def enqueue_with_a_row(driver: Driver) -> None:
    """A job and a row of one's own, on a connection of one's own: both or neither."""
    jobs = new_jobs(driver, 1, lasting=True)
    (token,) = (token_of(body) for body in jobs.payloads)
    is_kept = driver.random.random() < 0.8
    with closing(sqlite3.connect(driver.path, timeout=60, isolation_level=None)) as connection:
        with driver.diary.telling(
            "enqueue", batches=[asked_for(jobs)], row=token, rolled_back=not is_kept
        ) as call:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO ledger (token) VALUES (?)", (token,))
            call.got = driver.store.enqueue([jobs], connection)
            connection.execute("COMMIT" if is_kept else "ROLLBACK")
        if is_kept:
            driver.remember(call.got)


def new_jobs(driver: Driver, count: int, *, lasting: bool = False) -> NewJobs:
    """Jobs of a kind that is drawn. Those that are not lasting may be pruned before the storm is over."""
    chance = driver.random
    task = chance.choices((WORK, EFFECT, ONCE), (6, 3, 1))[0]
    is_fleeting = not lasting and chance.random() < 0.15
    padding = _PADDING if chance.random() < 0.03 else ""
    return NewJobs(
        task,
        chance.choice(QUEUES),
        tuple(payload(driver.new_token(), padding) for _ in range(count)),
        priority=chance.randint(-2, 2),
        run_at=now() + chance.randint(1, _LONGEST_DELAY) if chance.random() < 0.2 else None,
        retention=chance.randint(_SHORTEST_RETENTION, _LONGEST_RETENTION) if is_fleeting else None,
        max_crashes=1_000 if is_fleeting or chance.random() < 0.8 else None,
        ack="early" if task == ONCE else None,
    )


# --- claim and settle ------------------------------------------------------------------------------


def claim(driver: Driver) -> None:
    """Take a few jobs of one queue."""
    if len(driver.held) < driver.most_held:
        driver.take_turn(Turn(wants=(_want(driver),)))


def turn(driver: Driver) -> None:
    """Settle some of what is held and claim more, in one transaction, as workers do; some of it twice."""
    leaving = driver.give_up(driver.random.randint(0, len(driver.held)))
    settlements = tuple(settlement for job in leaving if (settlement := ending(driver, job)) is not None)
    if driver.random.random() < 0.05:
        settlements += settlements[:1]
    wants = (_want(driver),) if len(driver.held) < driver.most_held else ()
    driver.take_turn(Turn(settlements=settlements, wants=wants))


def settle(driver: Driver) -> None:
    """Settle one job; now and then once more, which must be refused."""
    for job in driver.give_up(1):
        settlement = ending(driver, job)
        if settlement is None:
            complete_with_effect(driver, job)
            continue
        for _ in range(driver.random.choice((1, 1, 1, 2))):
            refusable(lambda one=settlement: driver.store.settle(one))  # type: ignore[misc]


def ending(driver: Driver, job: Claimed) -> Settlement | None:
    """How this job ends; None when it can only be completed by its effect."""
    chance, lease = driver.random, job.lease
    later = now() + chance.randint(0, 50_000)
    result = f'"{lease.job}/{lease.attempt}"' + " " * chance.choice((0, 5_000))
    ways: list[tuple[Settlement, float]] = [
        (Complete(lease), 10 if job.task != EFFECT else 0),
        (Complete(lease, result, "json"), 3 if job.task != EFFECT else 0),
        (Fail(lease, WRONG), 1),
        (Fail(lease, WRONG, later), 1),
        (Snoozed(lease, later), 1),
        (Release(lease), 1),
        (Cancelled(lease, "so"), 0.5),
    ]
    if job.task == EFFECT and chance.random() < 0.6:
        return None
    return chance.choices([way for way, _ in ways], [weight for _, weight in ways])[0]


def complete_with_effect(driver: Driver, job: Claimed) -> None:
    """Complete it in a transaction with a row and a job of its own; sometimes think better of it."""
    database = driver.database
    connection = database.begin()
    is_held = False
    try:
        with database.joining(connection):
            connection.execute(ADD_EFFECT, tuple(job.lease))
            child = NewJobs(WORK, "default", (payload(child_of(token_of(job.payload))),), max_crashes=1_000)
            driver.store.enqueue([child])
            is_held = driver.random.random() < 0.8 and driver.store.settle_in(connection, Complete(job.lease))
    finally:
        database.finish(connection, commit=is_held)
    if not is_held:
        refusable(lambda: driver.store.settle(Release(job.lease)))
    driver.renew()  # the transaction has made the lease longer than a stop lasts


def _want(driver: Driver) -> Want:
    count = driver.random.randint(1, 3)
    return Want(driver.random.choice(QUEUES), count, count)


def refusable(action: Callable[[], object]) -> None:
    """Do what may rightly be refused."""
    try:
        action()
    except REFUSALS:
        return


# --- operators and the house -----------------------------------------------------------------------


def cancel(driver: Driver) -> None:
    """Cancel a job, whoever enqueued it and whatever it is at."""
    refusable(lambda: driver.store.cancel(driver.some_job()))


def retry(driver: Driver) -> None:
    """Retry a job that has failed, or was cancelled."""
    refusable(lambda: driver.store.retry(driver.some_job()))


def delete(driver: Driver) -> None:
    """Delete a job of one's own."""
    if driver.mine:
        refusable(lambda: driver.store.delete(driver.random.choice(driver.mine)))


def prune(driver: Driver) -> None:
    """Delete what ended long enough ago."""
    driver.store.prune(driver.random.choice((1, 10, 1_000)))


def pause(driver: Driver) -> None:
    """Stop a queue."""
    driver.store.pause(driver.random.choice(QUEUES))


def resume(driver: Driver) -> None:
    """Let both queues go on."""
    for queue in QUEUES:
        driver.store.resume(queue)


def renew(driver: Driver) -> None:
    """Let the lease end later."""
    driver.renew()


def reap(driver: Driver) -> None:
    """Return what the dead have left."""
    driver.workers.reap()


def sign_on_anew(driver: Driver) -> None:
    """Leave, with what is held, and come back."""
    driver.workers.sign_off(driver.worker)
    driver.sign_on()


OPERATIONS = (
    Operation(enqueue_one, 8),
    Operation(enqueue_many, 2),
    Operation(enqueue_with_a_row, 1.5),
    Operation(claim, 8),
    Operation(turn, 10),
    Operation(settle, 10),
    Operation(cancel, 1),
    Operation(retry, 1),
    Operation(delete, 0.5),
    Operation(prune, 1),
    Operation(pause, 0.1),
    Operation(resume, 0.5),
    Operation(renew, 1),
    Operation(reap, 2),
    Operation(sign_on_anew, 0.3),
)
# The chance that a driver is killed in mid-call, for verbs that a random kill seldom meets.
FUSES = {
    "enqueue": 0.002,
    "enqueue_many": 0.02,
    "enqueue_flow": 0.004,
    "turn": 0.001,
    "settle_in": 0.015,
    "cancel": 0.005,
    "cancel_tree": 0.03,
    "retry": 0.005,
    "delete": 0.01,
    "prune": 0.01,
    "pause": 0.01,
    "resume": 0.004,
    "sign_on": 0.004,
    "sign_off": 0.01,
    "renew": 0.002,
    "reap": 0.006,
    "fire": 0.01,
    "pause_schedule": 0.01,
    "resume_schedule": 0.01,
    "checkpoint": 0.03,
}
