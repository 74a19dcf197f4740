"""Files to be damaged: one with jobs in every state, one whose newest commits lie in its log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litequeue.job import (
    Complete,
    Crash,
    Fail,
    Failure,
    Flow,
    Lease,
    NewJobs,
    NewWorker,
    Note,
    Parent,
    Rule,
    Snoozed,
    Start,
    Want,
)
from litequeue.storage.database import Database
from litequeue.storage.gate import Durability
from litequeue.storage.minutes import Minutes
from litequeue.storage.schedules import Schedules
from litequeue.storage.store import Store
from litequeue.storage.workers import Workers
from litequeue.testing import HandClock
from litequeue.timing import NewSchedule, Timing, template

ERROR = Failure(
    "error", "ValueError", "wrong", "Traceback (most recent call last):\n  …\nValueError: wrong\n"
)
LARGE = '[["' + "x" * 6000 + '"],{}]'
OPTIONS = '{"retry":{"max_attempts":4,"backoff":2.0},"timeout":5000000}'
ADD_STEP = "INSERT INTO litequeue_step VALUES (?, 'step', 1, 1, 0, '5', 'json')"
JOBS = 28
_TASKS = 18
Rows = tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class Image:
    """The bytes of a file and of those beside it, and what a reader may find: what each commit had left.

    In one that `is_usable` a good job runs, whatever lies beside it.
    """

    main: bytes
    log: bytes = b""
    history: tuple[Rows, ...] = ()
    index: bytes = b""
    journal: bytes = b""
    is_usable: bool = False

    def write(self, path: Path) -> None:
        """Put it on the disk, with nothing beside it that an earlier one has left."""
        parts = {"-wal": self.log, "-shm": self.index, "-journal": self.journal, "-lock": b""}
        path.write_bytes(self.main)
        for suffix, content in parts.items():
            beside = Path(f"{path}{suffix}")
            beside.unlink(missing_ok=True)
            if content:
                beside.write_bytes(content)


def make_settled(folder: Path) -> Image:
    """A file without a log: the last connection has closed it."""
    path = folder / "settled.db"
    database = Database(str(path), Durability.NORMAL)
    for _ in _life(database):
        pass
    database.close()
    return Image(path.read_bytes(), history=(_rows(path),))


def make_logged(folder: Path) -> Image:
    """A file whose commits are all in its log, as a power cut would leave them."""
    path = folder / "logged.db"
    Database(str(path)).close()
    database = Database(str(path), Durability.NORMAL)
    history = [_rows(path)]
    for _ in _life(database):
        history.append(_rows(path))
    image = Image(path.read_bytes(), Path(f"{path}-wal").read_bytes(), tuple(history))
    database.close()
    return image


def _rows(path: Path) -> Rows:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(
            connection.execute("SELECT id, state, attempt FROM litequeue_job ORDER BY id").fetchall()
        )


def _life(database: Database) -> Iterator[object]:
    """Jobs come to every state they can be in, a commit at a time."""
    store, workers = Store(database, HandClock()), Workers(database, HandClock())
    now = store.clock.now()
    common = {"priority": 3, "tags": '["a","é"]', "meta": '{"a":[1,null]}', "options": OPTIONS}
    yield store.enqueue([NewJobs("app:task", "default", ("[[1,2],{}]",), **common)] * _TASKS)  # type: ignore[arg-type]
    yield store.enqueue([NewJobs("app:task", "default", (LARGE,), retention=10, expires_at=now + 9**9)])
    yield store.enqueue([NewJobs("app:other", "mail", ("[[],{}]",) * 3, run_at=now + 10**9)])
    yield store.enqueue([NewJobs("no:where", "default", ("[[],{}]",), ack="early", max_crashes=2)])
    first, second = (workers.sign_on(NewWorker(name, 1, ("default", "mail")), locked=False) for name in "ab")
    yield None
    leases = [job.lease for job in store.claim(first, [Want("default", 8, 10)]).jobs]
    yield None
    for settle in _settlements(store, leases):
        settle()
        yield None
    store.claim(second, [Want("default", 1, 1, refused=frozenset({"no:where"}))])
    yield None
    yield store.enqueue([NewJobs("app:blocked", "default", ("[[],{}]",))])
    database.write(lambda c: c.execute("UPDATE litequeue_job SET state = 'blocked' WHERE id = 24").rowcount)
    yield None
    yield from _flow(store, second)
    store.pause("mail")
    minutes = Minutes(database, store.clock)
    minutes.count("default", "completed", now, 0, 5)
    minutes.write()
    yield None


def _flow(store: Store, worker: int) -> Iterator[object]:
    """A parent that runs and its child; two jobs under a limit that has room for one."""
    parent = Flow(unique_key="key", unique_for=10**9)
    child = Flow(parents=(Parent(place=0, passes=True),), takes="one")
    limited = Flow(limit_key="limit", rule=Rule(1, 5, 10**7, 2))
    flows = (("app:parent", parent), ("app:child", child), ("app:limited", limited), ("app:limited", limited))
    yield store.enqueue_flow([NewJobs(task, "flow", ("[[],{}]",), flow=flow) for task, flow in flows])
    store.limit("mail", Rule(3, 10, 10**7))
    yield None
    yield store.claim(worker, [Want("flow", 4, 4)])
    database = store.database
    Schedules(database, store.clock).put([_schedule("nightly", cron="0 3 * * *", timezone="Europe/Berlin")])
    Schedules(database, store.clock).put([_schedule("often", every=10**7, catch_up="all", overlap=False)])
    yield database.write(lambda c: c.execute(ADD_STEP, (JOBS - 3,)).rowcount)


def _schedule(name: str, **timing: Any) -> NewSchedule:
    batch = NewJobs("app:task", "default", ("[[],{}]",), tags='["a"]')
    return NewSchedule(name, "app:task", Timing(**timing), template(batch, 5, None), "[[],{}]", declared=True)


def _settlements(store: Store, leases: list[Lease]) -> Iterator[Callable[[], object]]:
    now, free = store.clock.now(), iter(leases)
    yield lambda: store.note(Note(leases[-1], 0.5, "half", '{"b":2}', ((now, "a line"), (now, "another"))))
    yield lambda: store.settle(Complete(next(free), '"done"', "json"))
    yield lambda: store.settle(Complete(next(free), LARGE, "json"))
    yield lambda: store.settle(Fail(next(free), ERROR, now + 10**9))
    yield lambda: store.settle(Fail(next(free), ERROR))
    yield lambda: store.settle(Crash(next(free), ERROR))
    yield lambda: store.settle(Snoozed(next(free), now))
    yield lambda: store.start(Start(leases[-2], "early", 5))
    yield lambda: store.cancel(leases[-3].job, "not wanted")
    yield lambda: store.cancel(_TASKS + 1, "nor this")
