"""What workers do about schedules: store what their tasks declare, and make the jobs that are due."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..desk import Desk
from ..log import log
from ..queue import Queue
from ..tasks import Task
from . import logs
from .teller import Teller


def declare(queue: Queue, tasks: Iterable[Task[..., Any]]) -> None:
    """Store the schedules of these tasks, and say which are for another file or are no longer declared."""
    known = list(tasks)
    for name, place in {task.name: task.producer.place for task in known if task.timing is not None}.items():
        if place != queue.place:
            log.info("leave schedule=%s: its queue writes to %s", name, place)
    for name in queue.schedules.declare(known):
        log.warning("lose schedule=%s: no task declares it any more, so it does not fire", name)


def fire(desk: Desk, teller: Teller) -> int | None:
    """Make the jobs of schedules that are due; when the next one will be."""
    next_at = desk.schedules.next_firing()
    if next_at is None or next_at > desk.clock.now():
        return next_at
    for fired in desk.schedules.fire():
        if fired.trouble:
            log.warning("skip schedule=%s: %s", fired.schedule, fired.trouble)
        for job in fired.jobs:
            logs.fired(fired.schedule, job)
        teller.tell_enqueued(fired.jobs)
    return desk.schedules.next_firing()
