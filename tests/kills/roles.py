"""What a process of a storm is: a role is a function that a forked child runs until it ends or is killed."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import random
import signal
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from litequeue import Queue
from litequeue.__main__ import main
from litequeue.cli import work as work_command
from litequeue.job import FINAL
from litequeue.storage.gate import Durability
from litequeue.worker import logs

from .driver import Driver
from .flows import add_schedules
from .history import Diary
from .operations import FUSES, QUEUES
from .tasks import GATHER, ONCE, gather, once, work
from .told import ToldDatabase, ToldDesk, ToldQueue, gist

TABLES = (
    "CREATE TABLE effect (job INTEGER, attempt INTEGER)",
    "CREATE TABLE ledger (token TEXT)",
)
DRIVER_LEASE, WORKER_LEASE = 0.15, 1.0
TIME_TO_DRAIN = 90.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Part:
    """All that a child is told: which file, which actor, which role, and the seed of its chance."""

    path: Path
    actor: int
    role: str
    seed: str
    durability: Durability

    @property
    def folder(self) -> Path:
        """Where the file and the histories are."""
        return self.path.parent


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that forked it is gone."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def become(part: Part) -> int:
    """Play the part in this process, which was forked for it; its exit code."""
    die_with_parent()
    complaints = os.open(part.folder / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(complaints, 1)
    os.dup2(complaints, 2)
    chance = random.Random(part.seed)
    diary = Diary(part.folder, part.actor, chance, FUSES if part.role in STORMY else {})
    listen_to_log(diary)
    try:
        ROLES[part.role](part, diary)
    except BaseException:
        diary.note("died", traceback=traceback.format_exc())
        return 1
    return 0


def found(part: Part, diary: Diary) -> None:
    """Make the file, its schedules, and the tables of its user."""
    with Queue(part.path, retention=None) as queue:
        add_schedules(queue)
    connection = sqlite3.connect(part.path)
    for statement in TABLES:
        connection.execute(statement)
    connection.close()


def drive(part: Part, diary: Diary) -> None:
    """Use the verbs directly."""
    Driver(open_file(part, diary), diary.random, round(DRIVER_LEASE * 1e6)).drive()


def run_worker(part: Part, diary: Diary) -> None:
    """Be a worker as `Queue.worker` makes one."""
    with telling_what_begins(diary):
        queue = ToldQueue(ToldDesk(open_file(part, diary)), lease=WORKER_LEASE)
        queue.worker(queues=QUEUES, threads=diary.random.choice((1, 2, 4))).run()


def run_program(part: Part, diary: Diary) -> None:
    """Be a worker as `python -m litequeue worker` starts one."""

    @contextmanager
    def making(*_: object) -> Iterator[Queue]:
        with ToldQueue(ToldDesk(open_file(part, diary)), lease=WORKER_LEASE) as queue:
            yield queue

    arguments = ["worker", str(part.path), "--app", work.function.__module__, "--queues", ",".join(QUEUES)]
    with (
        mock.patch.object(work_command, "making", making),
        mock.patch.object(logs, "configure"),
        telling_what_begins(diary),
    ):
        code = main([*arguments, "--threads", str(diary.random.choice((1, 2)))])
    if code:
        raise SystemExit(code)


def drain(part: Part, diary: Diary) -> None:
    """Bring to an end what the storm has left, as a fresh worker does."""
    queue = ToldQueue(ToldDesk(open_file(part, diary)), lease=WORKER_LEASE)
    for name in QUEUES:
        queue.desk.store.resume(name)
    for schedule in queue.schedules:
        queue.schedules.pause(schedule.name)
    deadline = time.monotonic() + TIME_TO_DRAIN
    with telling_what_begins(diary), queue.worker(queues=QUEUES, threads=4):
        while open_jobs(queue) and time.monotonic() < deadline:
            time.sleep(0.02)
    queue.close()


ROLES: dict[str, Callable[[Part, Diary], None]] = {
    "founder": found,
    "driver": drive,
    "worker": run_worker,
    "program": run_program,
    "drainer": drain,
}
STORMY = frozenset({"driver", "worker", "program"})


def open_file(part: Part, diary: Diary) -> ToldDatabase:
    """The file, on a connection of this process's own."""
    return ToldDatabase(part.path, part.durability, diary, diary.random.choice((16, 64, 256)))


def open_jobs(queue: ToldQueue) -> int:
    """How many jobs are not brought to an end."""
    counts = [queue.desk.reports.counts(name) for name in QUEUES]
    return sum(number for count in counts for state, number in count.items() if state not in FINAL)


@contextmanager
def telling_what_begins(diary: Diary) -> Iterator[None]:
    """Have the task that is to run at most once say when it does, and the one that is given results which."""
    from .tasks import running

    def told_once(token: str, padding: str = "") -> None:
        job = running()
        diary.note("began", lease=(job.id, job.attempt))

    def told_given(received: object, token: str, padding: str = "") -> object:
        job = running()
        diary.note("given", lease=(job.id, job.attempt), value=_gists(received))
        return work(token, padding)

    assert (once.name, gather.name) == (ONCE, GATHER)
    with mock.patch.object(once, "function", told_once), mock.patch.object(gather, "function", told_given):
        yield


def _gists(received: object) -> object:
    values = received if isinstance(received, list) else [received]
    gists = [None if value is None else gist(json.dumps(value)) for value in values]
    return isinstance(received, list), gists


def listen_to_log(diary: Diary) -> None:
    """Write into the diary whatever the house warns of."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            diary.note("log", text=record.getMessage(), level=record.levelname)

    log = logging.getLogger("litequeue")
    log.handlers[:] = [Listener(logging.WARNING)]
    log.setLevel(logging.WARNING)
    log.propagate = False
