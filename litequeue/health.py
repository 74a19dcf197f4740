"""What is unhealthy in a file, seen from outside: whatever keeps jobs from running that nobody wanted to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .clock import SECOND
from .desk import Desk
from .job import State, WorkerInfo
from .names import MESSAGE, is_lane
from .storage.marks import mark_of
from .traffic import QueueReport

OVERDUE = 300 * SECOND
STUCK = 60 * SECOND
LONG_LOG = 64 << 20
STUCK_SCHEDULE = "stuck schedule"
LOG, BACKUP = "long log", "backup"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something unhealthy: a word for machines, what it is about, and a sentence for people."""

    kind: str
    about: str
    text: str


def alarms(desk: Desk, queues: Sequence[QueueReport]) -> list[Alarm]:
    """All that is unhealthy now; `queues` are those of the file. Of a backup nobody runs anything."""
    mark = desk.database.read(mark_of)
    if mark is not None:
        text = f"this is {mark}; no worker runs its jobs before `litequeue restore`"
        return [Alarm(BACKUP, desk.database.path, text), *_of_log(desk)]
    workers = desk.reports.workers()
    alive = [worker for worker in workers if desk.workers.is_alive(worker)]
    served = {name for worker in alive if not worker.stopping for name in worker.queues}
    found = [alarm for queue in queues for alarm in _of_queue(desk, queue, is_served=queue.name in served)]
    dead = [_dead(worker) for worker in workers if worker not in alive]
    return [*found, *dead, *_of_schedules(desk), *_of_log(desk)]


def _of_queue(desk: Desk, queue: QueueReport, *, is_served: bool) -> Iterator[Alarm]:
    ready, about = queue.counts[State.READY], queue.name
    if not ready or queue.paused_at is not None:
        return
    what, who = ("message", "process gets messages from") if is_lane(about) else ("job", "worker serves")
    waited = desk.clock.now() - (queue.oldest_ready or desk.clock.now())
    if not is_served:
        yield Alarm("no worker", about, f"queue {about!r}: {ready:,} ready, and no live {who} it")
    elif waited > OVERDUE:
        yield Alarm("overdue", about, f"queue {about!r}: its oldest ready {what} has waited {_long(waited)}")
    unknown = sorted(desk.store.parked_tasks([about]) - {MESSAGE})
    if unknown:
        names = ", ".join(unknown[:_SHOWN]) + (", …" if len(unknown) > _SHOWN else "")
        yield Alarm("unknown task", about, f"queue {about!r}: no worker so far could resolve {names}")


def _dead(worker: WorkerInfo) -> Alarm:
    what = f"{worker.running:,} running" if worker.running else "nothing"
    text = f"worker {worker.id} ({worker.name}) is dead and holds {what} until another worker reaps it"
    return Alarm("dead worker", worker.name, text)


def _of_schedules(desk: Desk) -> Iterator[Alarm]:
    now = desk.clock.now()
    for schedule in desk.schedules.all():
        if schedule.lost_at is not None:
            text = f"schedule {schedule.name!r}: no task declares it any more, and it does not fire"
            yield Alarm("lost schedule", schedule.name, text)
        elif schedule.paused_at is None and schedule.next_at is not None and now - schedule.next_at > STUCK:
            late = _long(now - schedule.next_at)
            text = f"schedule {schedule.name!r}: due {late} ago, and no worker fires it"
            yield Alarm(STUCK_SCHEDULE, schedule.name, text)


def _of_log(desk: Desk) -> Iterator[Alarm]:
    size, path = log_bytes(desk), _log_of(desk)
    if size > LONG_LOG:
        text = f"the log {path} has grown to {size >> 20:,} MB: a program that reads for long keeps it"
        yield Alarm(LOG, path, text)


def log_bytes(desk: Desk) -> int:
    """How long the file's write-ahead log is; 0 where there is none."""
    try:
        return os.stat(_log_of(desk)).st_size
    except OSError:
        return 0


def _log_of(desk: Desk) -> str:
    return f"{desk.database.path}-wal"


def _long(micros: int) -> str:
    minutes = micros // (60 * SECOND)
    return f"{minutes:,} min" if minutes < 120 else f"{minutes // 60:,} h"
