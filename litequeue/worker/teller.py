"""Tells the hooks of queues what a worker did with their jobs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..clock import SECOND
from ..desk import Desk
from ..errors import JobNotFound
from ..handle import Job
from ..job import (
    FINAL,
    Crash,
    Ended,
    Fail,
    FailedAttempt,
    Progress,
    Release,
    Settlement,
    Snapshot,
    Snoozed,
    State,
)
from ..log import log
from ..storage.transactions import afterwards
from ..tasks import Task
from . import logs

_MOST = 10_000  # events that wait for their hooks
_PATIENCE = 1 * SECOND
_TIME_TO_END = 10.0
_STILL_ALIVE: dict[type[Settlement], str] = {
    Fail: "retried",
    Snoozed: "snoozed",
    Release: "released",
    Crash: "reaped",
}


class News(NamedTuple):
    """One event: a job as it was then, and why its attempt failed if it did."""

    event: str
    job: Snapshot
    error: FailedAttempt | None = None


class Teller:
    """Calls the hooks of the queue that declared a job's task, once what happened is committed.

    `find` gives the task of a name, where this process has it.
    """

    def __init__(self, desk: Desk, find: Callable[[str], Task[..., Any] | None]) -> None:
        self._desk = desk
        self._find = find
        self._desks: dict[str, Desk] = {}

    def tell_turn(self, progress: Progress) -> None:
        """What a turn came to."""
        self.tell_ended(progress.ended)
        self._tell(list(map(_seen, progress.seen)))

    def tell_ended(self, ended: Iterable[Ended]) -> None:
        """How attempts ended."""
        self._tell([_news(each) for each in ended])

    def tell_given_up(self, ended: Sequence[Ended]) -> None:
        """How attempts ended whose worker died, or has to stop; they are counted, too."""
        self._desk.minutes.count_ended(ended)
        self.tell_ended(ended)

    def telling(self, verb: str, worker: int) -> Callable[[Sequence[Ended]], None]:
        """The same, logged by this worker as well."""

        def tell(ended: Sequence[Ended]) -> None:
            logs.given_back(verb, ended, worker)
            self.tell_given_up(ended)

        return tell

    def tell_enqueued(self, ids: Iterable[int]) -> None:
        """Jobs that a worker made itself, as a schedule wants it."""
        self._tell([News("enqueued", job) for id in ids if (job := self._job(id)) is not None])

    def _tell(self, news: Sequence[News]) -> None:
        for each in news:
            afterwards(self._desk.database, partial(self._call, each))

    def _call(self, news: News) -> None:
        task = self._find(news.job.task)
        if task is not None and task.producer.hooks.of(news.event):
            job = Job[Any](self._desk_of(task), news.job.id, news.job)
            task.producer.hooks.tell(news.event, [job], news.error)

    def _desk_of(self, task: Task[..., Any]) -> Desk:
        """The worker's file, read with the codec and the types of the task."""
        if task.name not in self._desks:
            desk, types = self._desk, task.types
            self._desks[task.name] = Desk(desk.database, desk.clock, task.producer.codec, lambda _: types)
        return self._desks[task.name]

    def _job(self, id: int) -> Snapshot | None:
        try:
            return self._desk.reports.job(id)
        except JobNotFound:
            return None  # it was pruned already


class TellerAside(Teller):
    """Does so on a thread of its own, which begins with the first event.

    Slow hooks do not hold up the worker for long: what finds no room in the line is lost, and logged.
    """

    def __init__(self, desk: Desk, find: Callable[[str], Task[..., Any] | None]) -> None:
        super().__init__(desk, find)
        self._line: queue.Queue[News | None] = queue.Queue(_MOST)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def close(self) -> None:
        """Let the hooks hear what they have not heard yet, for a while."""
        if self._thread is None:
            return
        self._put(None, self._desk.clock.monotonic() + _PATIENCE)
        self._thread.join(_TIME_TO_END)
        if self._thread.is_alive():
            log.error("hooks do not end: %d events were not told", self._line.qsize())

    def _tell(self, news: Sequence[News]) -> None:
        if not news:
            return
        self._start()
        until = self._desk.clock.monotonic() + _PATIENCE
        lost = sum(not self._put(each, until) for each in news)
        if lost:
            log.error("hooks are too slow: %d events were not told", lost)

    def _put(self, news: News | None, until: int) -> bool:
        left = (until - self._desk.clock.monotonic()) / SECOND
        try:
            self._line.put(news, left > 0, max(0.0, left))
        except queue.Full:
            return False
        return True

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="litequeue-hooks", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while (news := self._line.get()) is not None:
            try:
                self._call(news)
            except BaseException:  # the thread outlasts whatever a task's module or a hook may do
                log.exception("job=%d event=%s could not be told", news.job.id, news.event)


def _seen(job: Snapshot) -> News:
    """A job that was claimed, or that the claim has ended because it could not be."""
    if job.state is State.RUNNING:
        return News("claimed", job)
    why = (job.attempt, job.finished_at or 0, job.reason or "", "", job.message or "", "")
    return News(job.state.value, job, FailedAttempt(*why) if job.state is State.FAILED else None)


def _news(ended: Ended) -> News:
    settlement, job, at = ended
    event = job.state.value if job.state in FINAL else _STILL_ALIVE[type(settlement)]
    error = None
    if isinstance(settlement, (Fail, Crash)):
        why = settlement.failure
        error = FailedAttempt(settlement.lease.attempt, at, why.reason, why.type, why.message, why.traceback)
    return News(event, job, error)
