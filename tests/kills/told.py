"""The verbs of the store, each of which writes into a diary what was asked and what it came to."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from litequeue import Queue
from litequeue.clock import Clock, SystemClock
from litequeue.codec import JSON, NO_TYPES
from litequeue.desk import Desk
from litequeue.job import (
    Cancelled,
    Claim,
    Claimed,
    Complete,
    Crash,
    Fail,
    Flow,
    NewJobs,
    NewWorker,
    Note,
    Progress,
    Received,
    Release,
    Settlement,
    Snoozed,
    Start,
    State,
    Stored,
    Turn,
)
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.schedules import Fired, Schedules
from litequeue.storage.store import Store
from litequeue.storage.workers import Told, Workers, nobody

from .history import ERROR, OK, Call, Diary

_LONGEST_GIST = 60
KINDS: dict[type[Settlement], str] = {
    Complete: "complete",
    Fail: "fail",
    Crash: "crash",
    Snoozed: "snooze",
    Release: "release",
    Cancelled: "cancel",
}


def payload(token: str, padding: str = "") -> str:
    """The arguments of a job of ours: its token, by which it is known before it has an id."""
    return json.dumps([[token, padding]])[:-1] + ",{}]"


def token_of(body: str | bytes) -> str:
    """The token in a payload."""
    return str(json.loads(body)[0][0])


def gist(body: str | bytes | None) -> str | None:
    """A value in so few letters that two are hardly ever alike; of its JSON the spaces do not matter."""
    if body is None:
        return None
    text = json.dumps(json.loads(body))
    return text if len(text) < _LONGEST_GIST else f"{len(text)} {zlib.crc32(text.encode())}"


def now() -> int:
    """Wall time in microseconds, as the store reads it."""
    return time.time_ns() // 1000


class ToldDatabase(Database):
    """A file whose checkpoints are told, and come after `commits` of them where they are ours to make."""

    def __init__(self, path: Path, durability: Durability, diary: Diary, commits: int) -> None:
        self.diary = diary
        self._commits_to_checkpoint = commits
        self._completing: dict[int, Call] = {}
        super().__init__(str(path), durability)

    def completes(self, connection: Connection, call: Call) -> None:
        """When this transaction commits, the call has ended well."""
        self._completing[id(connection)] = call

    def finish(self, connection: Connection, *, commit: bool) -> None:
        call = self._completing.pop(id(connection), None)
        try:
            super().finish(connection, commit=commit)
        except Exception as error:
            if call is not None:
                self.diary.end(call, ERROR, f"{type(error).__name__}: {error}")
            raise
        if call is not None:
            self.diary.end(call, OK, commit)

    def _open_side_file(self) -> None:
        super()._open_side_file()
        keeper = self._keeper
        if keeper is None:
            return
        checkpoint: Callable[[Connection], int] = keeper._checkpoint

        def told(writer: Connection) -> int:
            with self.diary.telling("checkpoint") as call:
                call.got = checkpoint(writer)
            keeper._due = self._commits_to_checkpoint
            return int(call.got)

        keeper._due = self._commits_to_checkpoint
        keeper._checkpoint = told  # type: ignore[method-assign]


class ToldStore(Store):
    """The verbs about jobs."""

    def __init__(self, database: ToldDatabase, clock: Clock) -> None:
        super().__init__(database, clock)
        self._file = database
        self._diary = database.diary

    def enqueue(
        self, jobs: Sequence[NewJobs], connection: Connection | None = None, *, bound: int = 0
    ) -> list[int]:
        if connection is not None or self._file.joined() is not None:
            # It is there when that transaction commits, which is told by whoever commits it.
            return super().enqueue(jobs, connection, bound=bound)
        with self._diary.telling("enqueue", batches=[asked_for(batch) for batch in jobs]) as call:
            call.got = super().enqueue(jobs, bound=bound)
        return list(call.got)

    def enqueue_flow(
        self, jobs: Sequence[NewJobs], connection: Connection | None = None, *, bound: int = 0
    ) -> list[Stored]:
        if connection is not None or self._file.joined() is not None:
            return super().enqueue_flow(jobs, connection, bound=bound)
        with self._diary.telling("enqueue_flow", batches=[asked_for(batch) for batch in jobs]) as call:
            call.got = super().enqueue_flow(jobs, bound=bound)
        return list(call.got)

    def take_turn(self, worker: int, turn: Turn, told: Callable[[Claim], None] | None = None) -> Progress:
        with self._diary.telling("turn", worker=worker, **_turn(turn), wall=now()) as call:
            progress = super().take_turn(worker, turn, told)
            call.got = {
                "accepted": progress.accepted,
                "jobs": [_claimed(job) for job in progress.claim.jobs],
                "signed_on": progress.signed_on,
                "put_aside": progress.claim.parked,
            }
        return progress

    def settle_in(
        self,
        connection: Connection,
        settlement: Complete,
        note: Note | None = None,
        told: Told | None = None,
    ) -> bool:
        call = self._diary.begin("settle_in", lease=settlement.lease)
        is_held = super().settle_in(connection, settlement, note, told)
        if is_held:
            self._file.completes(connection, call)
        else:
            self._diary.end(call, OK, is_held)
        return is_held

    def start(self, begun: Start) -> None:
        with self._diary.telling("start", lease=begun.lease, ack=begun.ack):
            super().start(begun)

    def cancel(self, job: int, message: str | None = None, *, connection: Connection | None = None) -> State:
        with self._diary.telling("cancel", job=job) as call:
            call.got = super().cancel(job, message, connection=connection)
        return State(call.got)

    def cancel_tree(
        self, job: int, message: str | None = None, *, connection: Connection | None = None
    ) -> int:
        with self._diary.telling("cancel_tree", job=job) as call:
            call.got = super().cancel_tree(job, message, connection=connection)
        return int(call.got)

    def retry(self, job: int, *, fresh: bool = False) -> None:
        with self._diary.telling("retry", job=job):
            super().retry(job, fresh=fresh)

    def delete(self, job: int) -> None:
        with self._diary.telling("delete", job=job):
            super().delete(job)

    def prune(self, limit: int = 1000, *, state: State | None = None, queue: str | None = None) -> int:
        with self._diary.telling("prune", limit=limit) as call:
            call.got = super().prune(limit, state=state, queue=queue)
        return int(call.got)

    def pause(self, queue: str) -> None:
        with self._diary.telling("pause", queue=queue):
            super().pause(queue)

    def resume(self, queue: str) -> None:
        with self._diary.telling("resume", queue=queue):
            super().resume(queue)


class ToldWorkers(Workers):
    """The verbs about workers."""

    def __init__(self, database: ToldDatabase, clock: Clock) -> None:
        super().__init__(database, clock)
        self._diary = database.diary

    def sign_on(self, new: NewWorker, *, locked: bool = True) -> int:
        with self._diary.telling("sign_on", lease=new.lease) as call:
            call.got = super().sign_on(new, locked=locked)
        return int(call.got)

    def renew(self, worker: int, lease: int) -> bool:
        with self._diary.telling("renew", worker=worker, lease=lease) as call:
            call.got = super().renew(worker, lease)
        return bool(call.got)

    def sign_off(self, worker: int, told: Told = nobody) -> None:
        with self._diary.telling("sign_off", worker=worker):
            super().sign_off(worker, told)

    def reap(self, told: Told = nobody) -> int:
        with self._diary.telling("reap") as call:
            call.got = super().reap(told)
        return int(call.got)


class ToldSchedules(Schedules):
    """The verbs about schedules."""

    def __init__(self, database: ToldDatabase, clock: Clock) -> None:
        super().__init__(database, clock)
        self._diary = database.diary

    def fire(self) -> list[Fired]:
        with self._diary.telling("fire") as call:
            fired = super().fire()
            call.got = {"jobs": [job for each in fired for job in each.jobs], "wall": now()}
        return fired

    def pause(self, name: str) -> None:
        with self._diary.telling("pause_schedule", schedule=name):
            super().pause(name)

    def resume(self, name: str) -> None:
        with self._diary.telling("resume_schedule", schedule=name):
            super().resume(name)


class ToldDesk(Desk):
    """A file seen through rooms that tell what they do."""

    def __init__(self, database: ToldDatabase) -> None:
        clock = SystemClock()
        super().__init__(database, clock, JSON, lambda _: NO_TYPES)
        self.store = ToldStore(database, clock)
        self.workers = ToldWorkers(database, clock)
        self.schedules = ToldSchedules(database, clock)


class ToldQueue(Queue):
    """A queue, as users hold it, on a desk that tells what it does."""

    def __init__(self, desk: ToldDesk, **options: Any) -> None:
        super().__init__(desk.database.path, **options)
        self._opened = desk


def asked_for(batch: NewJobs) -> dict[str, Any]:
    """What a diary says of jobs to be stored."""
    return {
        "tokens": [token_of(body) for body in batch.payloads],
        "task": batch.task,
        "queue": batch.queue,
        "priority": batch.priority,
        "run_at": batch.run_at,
        "retention": batch.retention,
        "ack": batch.ack,
        "max_crashes": batch.max_crashes,
        "expires_at": batch.expires_at,
        "flow": None if batch.flow is None else _flow(batch.flow),
    }


def _flow(flow: Flow) -> dict[str, Any]:
    return {
        "key": flow.unique_key,
        "on_duplicate": flow.on_duplicate,
        "limit": flow.limit_key,
        "max_running": flow.rule.max_running,
        "parents": flow.parents,
        "takes": flow.takes,
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "settlements": [_settlement(one) for one in turn.settlements],
        "wants": [
            (want.queue, want.limit, None if want.known is None else sorted(want.known - want.refused))
            for want in turn.wants
        ],
    }


def _settlement(one: Settlement) -> tuple[int, int, str, int | None]:
    again = one.retry_at if isinstance(one, Fail) else one.run_at if isinstance(one, Snoozed) else None
    kind = "again" if isinstance(one, Fail) and again is not None else KINDS[type(one)]
    return (*one.lease, kind, again)


def _claimed(job: Claimed) -> tuple[int, int, str, int, int, str, object]:
    return (*job.lease, job.queue, job.priority, job.run_at, job.task, _received(job.received))


def _received(received: Received | None) -> tuple[bool, list[str | None]] | None:
    if received is None:
        return None
    return received.is_list, [gist(body) for body, _ in received.results]
