"""The store against a model that fits on a page: two handles on one file, and random steps on both.

Every lease ever handed out is kept, and the stale ones are tried after every step. The whole table is
compared with the model each time.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from litequeue.errors import JobNotFound, LeaseLost, NotAllowed
from litequeue.job import (
    Cancelled,
    Complete,
    Crash,
    Fail,
    Failure,
    Lease,
    NewJobs,
    NewWorker,
    Note,
    Release,
    Settlement,
    Snoozed,
    Start,
    Turn,
    Want,
)
from litequeue.storage.checks import broken
from litequeue.testing import HandClock
from tests.storage.engines import Engine, sqlite_engine

LEASE = 30_000_000
FAILURE = Failure("error", "E", "wrong")
WAITING, FINAL = ("scheduled", "ready"), ("completed", "failed", "cancelled")
QUEUES = st.sampled_from(["a", "b"])
HANDLES = st.integers(0, 1)
PICK = st.integers(0, 1000)
SECONDS = st.sampled_from([0, 1, 4, 19, 30])
# What a job may ask for; `later` makes instants and durations of the seconds.
WISHES = st.fixed_dictionaries(
    {
        "queue": QUEUES,
        "task": st.sampled_from(["app:x", "app:x", "app:y"]),
        "priority": st.integers(-1, 1),
        "run_at": st.sampled_from([None, None, 5, 40]),
        "expires_at": st.sampled_from([None, None, None, 3, 40]),
        "max_crashes": st.sampled_from([None, 1, 2]),
        "ack": st.sampled_from([None, None, "early", "late"]),
        "retention": st.sampled_from([None, 0, 20]),
    }
)


def later(now: int, name: str, value: Any) -> Any:
    if name not in ("run_at", "expires_at", "retention") or value is None:
        return value
    return value * 1_000_000 + (0 if name == "retention" else now)


@dataclass
class Row:
    """What the model knows of a job: the columns of the table that decide."""

    id: int
    queue: str
    task: str
    run_at: int
    priority: int = 0
    state: str = "ready"
    reason: str | None = None
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    max_crashes: int | None = None
    ack: str | None = None
    parked: int = 0
    cancelling: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    expires_at: int | None = None
    retention: int | None = None
    worker: int | None = None

    def end(self, state: str, reason: str | None, now: int) -> None:
        self.state, self.reason, self.finished_at, self.worker = state, reason, now, None
        self.parked = self.cancelling = 0

    def place(self) -> tuple[int, int, int]:
        return (-self.priority, self.run_at, self.id)


SHARED = tuple(name for name in NewJobs._fields if name in Row.__dataclass_fields__)
COLUMNS = ", ".join(Row.__dataclass_fields__)


@dataclass
class Model:
    """The whole contract, without a database."""

    rows: dict[int, Row] = field(default_factory=dict)
    workers: dict[int, int] = field(default_factory=dict)  # until when its lease runs
    failed: set[tuple[int, int]] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    last_id: int = 0
    last_worker: int = 0

    def owns(self, lease: Lease) -> bool:
        row = self.rows.get(lease.job)
        return row is not None and row.state == "running" and row.attempt == lease.attempt

    def expire(self, now: int) -> None:
        for row in self.rows.values():
            if row.state in WAITING and row.expires_at is not None and row.expires_at <= now:
                row.end("cancelled", "expired", now)

    def claim(self, worker: int, want: Want, now: int) -> list[tuple[Lease, bool]]:
        self.expire(now)
        inside = [row for row in self.rows.values() if row.queue == want.queue]
        for row in inside:
            if row.state == "scheduled" and row.run_at <= now:
                row.state = "ready"
        if want.queue in self.paused:
            return []
        for task in want.revive:
            parked = sorted((row for row in inside if row.parked and row.task == task), key=Row.place)
            for row in parked[: want.limit]:
                row.parked = 0
        for size in (want.limit, 1000):
            line = sorted((row for row in inside if row.state == "ready" and not row.parked), key=Row.place)
            chosen = self.chosen(self.park(line[:size], want), want)
            if chosen or len(line) < size:
                break
        return [self.take(row, worker, place < want.start, now) for place, row in chosen]

    def park(self, line: list[Row], want: Want) -> list[Row]:
        for row in line:
            row.parked = int(row.task in want.refused)
        return [row for row in line if not row.parked]

    def chosen(self, line: list[Row], want: Want) -> list[tuple[int, Row]]:
        """A job that took a worker down does not wait in one, and none waits behind it."""
        taken: list[Row] = []
        for row in line:
            suspects = any(each.crashes for each in line[: line.index(row) + 1])
            if len(taken) < (want.start if suspects else want.limit):
                taken.append(row)
        return list(enumerate(taken))

    def take(self, row: Row, worker: int, started: bool, now: int) -> tuple[Lease, bool]:
        row.state, row.worker, row.attempt = "running", worker, row.attempt + 1
        started = started and row.ack != "early"
        row.started_at = now if started else None
        return Lease(row.id, row.attempt), started

    def settle(self, settlement: Settlement, now: int) -> bool:
        lease = settlement.lease
        if not self.owns(lease):
            return False
        row = self.rows[lease.job]
        if isinstance(settlement, Crash):
            self.crash(row, now)
            return True
        stopped = row.cancelling
        row.started_at = None if isinstance(settlement, Release) else row.started_at or now
        if isinstance(settlement, Complete):
            row.end("completed", None, now)
        elif isinstance(settlement, Cancelled):
            row.end("cancelled", "cancelled", now)
        elif isinstance(settlement, Release):
            self.wait_again(row, "ready")
        elif isinstance(settlement, Snoozed):
            row.expires_at = None
            self.wait_again(row, "scheduled", settlement.run_at)
        else:
            self.fail(row, settlement, now)
        if stopped:
            row.end("cancelled", "cancelled", now)
        return True

    def fail(self, row: Row, settlement: Fail, now: int) -> None:
        row.failures += 1
        self.failed.add((row.id, row.attempt))
        if settlement.retry_at is None:
            row.end("failed", settlement.failure.reason, now)
        else:
            row.expires_at = None
            self.wait_again(row, "scheduled", settlement.retry_at)

    def wait_again(self, row: Row, state: str, run_at: int | None = None) -> None:
        row.state, row.worker, row.cancelling = state, None, 0
        row.run_at = row.run_at if run_at is None else run_at

    def crash(self, row: Row, now: int) -> None:
        row.crashes += 1
        row.expires_at = None  # it was started in time
        self.failed.add((row.id, row.attempt))
        if row.cancelling:
            row.end("cancelled", "cancelled", now)
        elif row.ack == "early":
            row.end("failed", "lost", now)
        elif row.crashes >= (row.max_crashes or 3):
            row.end("failed", "crashed", now)
        else:
            self.wait_again(row, "ready")

    def lose(self, worker: int, now: int, *, blame: bool) -> int:
        held = [row for row in self.rows.values() if row.worker == worker]
        for row in held:
            if row.started_at is not None and (blame or row.ack == "early"):
                self.crash(row, now)
            else:
                self.settle(Release(Lease(row.id, row.attempt)), now)
        del self.workers[worker]
        return len(held)

    def forget(self, ids: list[int]) -> None:
        for id in ids:
            del self.rows[id]
        self.failed = {(id, attempt) for id, attempt in self.failed if id in self.rows}


class StoreMachine(RuleBasedStateMachine):
    """Random steps on two handles of one file."""

    def __init__(self) -> None:
        super().__init__()
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="litequeue-", dir=place)
        self.path = Path(self.folder) / "jobs.db"
        self.clock = HandClock()
        self.engines = [sqlite_engine(self.path, self.clock) for _ in range(2)]
        self.look = sqlite3.connect(self.path)
        self.model = Model()
        self.leases: list[Lease] = []

    def teardown(self) -> None:
        for engine in self.engines:
            engine.store.database.close()
        self.look.close()
        shutil.rmtree(self.folder)

    # --- picking ------------------------------------------------------------------------------------

    def worker(self, pick: int) -> int:
        """A worker that is signed on, or now and then one that is not."""
        known = sorted(self.model.workers)
        return known[pick % len(known)] if known and pick % 11 else pick % (self.model.last_worker + 2)

    def job(self, pick: int) -> int:
        known = sorted(self.model.rows)
        return known[pick % len(known)] if known and pick % 11 else pick

    def lease(self, pick: int) -> Lease:
        """A lease that is held, or now and then any that ever was."""
        held = [lease for lease in self.leases if self.model.owns(lease)]
        pool = held if held and pick % 5 else self.leases
        return pool[pick % len(pool)]

    # --- producers and workers ----------------------------------------------------------------------

    @initialize(wishes=st.lists(WISHES, min_size=3, max_size=10))
    def begin(self, wishes: list[dict[str, Any]]) -> None:
        self.enqueue(0, wishes)
        for handle in range(2):
            self.sign_on(handle)

    @rule(handle=HANDLES, wishes=st.lists(WISHES, min_size=1, max_size=6), alike=st.integers(1, 3))
    def enqueue(self, handle: int, wishes: list[dict[str, Any]], alike: int = 1) -> None:
        now = self.clock.now()
        batches = [
            NewJobs(
                payloads=["[]"] * alike, **{name: later(now, name, value) for name, value in wish.items()}
            )
            for wish in wishes
        ]
        ids = self.engines[handle].store.enqueue(batches)
        jobs = [batch for batch in batches for _ in range(alike)]
        assert ids == [self.model.last_id + 1 + place for place in range(len(jobs))]
        for id, job in zip(ids, jobs, strict=True):
            known = {name: getattr(job, name) for name in SHARED}
            row = Row(id=id, **known | {"run_at": now if job.run_at is None else job.run_at})
            row.state = "scheduled" if row.run_at > now else "ready"
            self.model.rows[id] = row
        self.model.last_id = ids[-1]

    @rule(handle=HANDLES)
    def sign_on(self, handle: int) -> None:
        new = NewWorker("w", 1, lease=LEASE)
        id = self.engines[handle].workers.sign_on(new, locked=False)
        assert id == self.model.last_worker + 1
        self.model.last_worker = id
        self.model.workers[id] = self.clock.monotonic() + LEASE

    @rule(
        handle=HANDLES,
        pick=PICK,
        queue=QUEUES,
        start=st.integers(0, 2),
        more=st.integers(0, 2),
        refused=st.sampled_from([[], [], ["app:y"]]),
        revive=st.booleans(),
    )
    def claim(
        self, handle: int, pick: int, queue: str, start: int, more: int, refused: list[str], revive: bool
    ) -> None:
        worker = self.worker(pick)
        limit = max(1, start + more)
        revived = frozenset({"app:y"} - set(refused)) if revive else frozenset()
        want = Want(queue, start, limit, refused=frozenset(refused), revive=revived)
        self.check_claim(handle, worker, want)

    def check_claim(self, handle: int, worker: int, want: Want) -> None:
        store = self.engines[handle].store
        if worker not in self.model.workers:
            assert not store.take_turn(worker, Turn(wants=(want,))).signed_on
            return
        found = [(job.lease, job.started) for job in store.claim(worker, [want]).jobs]
        assert found == self.model.claim(worker, want, self.clock.now())
        self.leases += [lease for lease, _ in found]

    @precondition(lambda self: self.leases)
    @rule(handle=HANDLES, pick=PICK, kind=st.integers(0, 6), delay=SECONDS)
    def settle(self, handle: int, pick: int, kind: int, delay: int) -> None:
        self.check_settle(handle, self.settlement(self.lease(pick), kind, delay))

    def settlement(self, lease: Lease, kind: int, delay: int) -> Settlement:
        later = self.clock.now() + delay * 1_000_000
        kinds: list[Settlement] = [
            Complete(lease, "1", "json"),
            Complete(lease),
            Fail(lease, FAILURE),
            Fail(lease, FAILURE, later),
            Crash(lease, Failure("crashed", "C", "gone")),
            Snoozed(lease, later),
            Release(lease),
            Cancelled(lease, "enough"),
        ]
        return kinds[kind]

    def check_settle(self, handle: int, settlement: Settlement) -> None:
        expected = self.model.settle(settlement, self.clock.now())
        try:
            self.engines[handle].store.settle(settlement)
        except LeaseLost:
            assert not expected
        else:
            assert expected

    @precondition(lambda self: self.leases)
    @rule(handle=HANDLES, pick=PICK, ack=st.sampled_from([None, "early"]), limit=st.sampled_from([None, 1]))
    def start(self, handle: int, pick: int, ack: str | None, limit: int | None) -> None:
        lease = self.lease(pick)
        owned = self.model.owns(lease)
        if owned:
            row = self.model.rows[lease.job]
            row.started_at = self.clock.now()
            row.ack, row.max_crashes = row.ack or ack, row.max_crashes or limit
        try:
            self.engines[handle].store.start(Start(lease, ack, limit))
        except LeaseLost:
            assert not owned
        else:
            assert owned

    @rule(handle=HANDLES, pick=PICK)
    def renew(self, handle: int, pick: int) -> None:
        worker = self.worker(pick)
        known = worker in self.model.workers
        assert self.engines[handle].workers.renew(worker, LEASE) == known
        if known:
            self.model.workers[worker] = self.clock.monotonic() + LEASE

    @rule(handle=HANDLES, pick=PICK)
    def sign_off(self, handle: int, pick: int) -> None:
        worker = self.worker(pick)
        self.engines[handle].workers.sign_off(worker)
        if worker in self.model.workers:
            self.model.lose(worker, self.clock.now(), blame=False)

    @rule(handle=HANDLES)
    def reap(self, handle: int) -> None:
        dead = [worker for worker, until in self.model.workers.items() if until <= self.clock.monotonic()]
        lost = sum(self.model.lose(worker, self.clock.now(), blame=True) for worker in dead)
        assert self.engines[handle].workers.reap() == lost

    @rule(pick=PICK, queue=QUEUES, kind=st.integers(0, 6))
    def zombie(self, pick: int, queue: str, kind: int) -> None:
        """A worker hangs past its lease; another handle reaps it and runs its job; then it wakes up."""
        before = len(self.leases)
        self.check_claim(0, self.worker(pick), Want(queue, 1, 1))
        stale = self.leases[before:]
        self.clock.advance(30)
        self.reap(1)
        self.sign_on(1)
        self.check_claim(1, self.model.last_worker, Want(queue, 2, 2))
        for lease in stale:
            self.check_settle(0, self.settlement(lease, kind, 1))
        for lease in self.leases[before + len(stale) :]:
            self.check_settle(1, Complete(lease))

    # --- operators and time -------------------------------------------------------------------------

    @rule(handle=HANDLES, pick=PICK)
    def cancel(self, handle: int, pick: int) -> None:
        row = self.model.rows.get(self.job(pick))
        allowed = row is not None and row.state not in FINAL
        self.check_verb(self.engines[handle].store.cancel, self.job(pick), row, allowed=allowed)
        if row is not None and row.state in WAITING:
            row.end("cancelled", "cancelled", self.clock.now())
            self.model.expire(self.clock.now())
        elif row is not None and row.state == "running":
            row.cancelling = 1

    @rule(handle=HANDLES, pick=PICK)
    def retry(self, handle: int, pick: int) -> None:
        row = self.model.rows.get(self.job(pick))
        allowed = row is not None and row.state in ("failed", "cancelled")
        self.check_verb(self.engines[handle].store.retry, self.job(pick), row, allowed=allowed)
        if row is not None and allowed:
            self.model.wait_again(row, "ready", self.clock.now())
            row.reason = row.finished_at = row.started_at = row.expires_at = None
            row.failures = row.crashes = 0

    @rule(handle=HANDLES, pick=PICK)
    def delete(self, handle: int, pick: int) -> None:
        row = self.model.rows.get(self.job(pick))
        allowed = row is not None and row.state != "running"
        self.check_verb(self.engines[handle].store.delete, self.job(pick), row, allowed=allowed)
        if row is not None and allowed:
            self.model.forget([row.id])
            self.model.expire(self.clock.now())

    def check_verb(self, verb: Any, id: int, row: Row | None, *, allowed: bool) -> None:
        try:
            verb(id)
        except JobNotFound:
            assert row is None
        except NotAllowed:
            assert row is not None and not allowed
        else:
            assert allowed

    @rule(handle=HANDLES)
    def prune(self, handle: int) -> None:
        now = self.clock.now()
        rows = self.model.rows.values()
        final = [row for row in rows if row.finished_at is not None and row.retention is not None]
        gone = [row.id for row in final if (row.finished_at or 0) + (row.retention or 0) <= now]
        assert self.engines[handle].store.prune() == len(gone)
        self.model.forget(gone)

    @rule(handle=HANDLES, queue=QUEUES, stop=st.booleans())
    def pause(self, handle: int, queue: str, stop: bool) -> None:
        store = self.engines[handle].store
        if stop:
            store.pause(queue)
            self.model.paused.add(queue)
        else:
            store.resume(queue)
            self.model.paused.discard(queue)

    @rule(seconds=SECONDS)
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(hour=st.integers(0, 3))
    def set_wall(self, hour: int) -> None:
        self.clock.set_wall(datetime(2030, 1, 1, hour, tzinfo=UTC))

    @rule(handle=HANDLES)
    def reopen(self, handle: int) -> None:
        """A process ends, and another begins."""
        self.engines[handle].store.database.close()
        self.engines[handle] = sqlite_engine(self.path, self.clock)

    # --- after every step ---------------------------------------------------------------------------

    @invariant()
    def stale_leases_change_nothing(self) -> None:
        stale = [lease for lease in self.leases if not self.model.owns(lease)]
        turn = Turn(
            settlements=tuple(self.settlement(lease, lease.attempt % 8, 1) for lease in stale),
            notes=tuple(Note(lease, progress=1.0, logs=((0, "stale"),)) for lease in stale),
            starts=tuple(Start(lease, "early", 1) for lease in stale),
        )
        engine: Engine = self.engines[len(stale) % 2]
        assert not any(engine.store.take_turn(0, turn).accepted)

    @invariant()
    def the_file_is_as_the_model_says(self) -> None:
        rows = self.query(f"SELECT {COLUMNS} FROM litequeue_job ORDER BY id")
        assert rows == [tuple(asdict(row).values()) for _, row in sorted(self.model.rows.items())]
        workers = self.query("SELECT id, lease_until FROM litequeue_worker ORDER BY id")
        assert workers == sorted(self.model.workers.items())
        failed = self.query("SELECT job, attempt FROM litequeue_failure ORDER BY job, attempt")
        assert failed == sorted(self.model.failed)
        assert self.query("SELECT count(*) FROM litequeue_log") == [(0,)]
        assert broken(self.look) == []

    def query(self, text: str) -> list[Any]:
        return self.look.execute(text).fetchall()


TestMachine = StoreMachine.TestCase
TestMachine.settings = settings(
    max_examples=80,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # add Phase.shrink when a failure is found: it takes minutes
    suppress_health_check=list(HealthCheck),
)
