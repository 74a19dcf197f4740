"""Why a job does not run: the first condition that holds, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from .clock import SECOND, Clock, to_datetime
from .job import Snapshot, State, WorkerInfo
from .names import MESSAGE
from .storage.reports import Reports
from .storage.workers import Workers

AHEAD_LIMIT = 10_000


@dataclass(frozen=True)
class Explanation:
    """One condition: a short word for machines, a sentence for people."""

    condition: str
    text: str


@dataclass(frozen=True)
class Case:
    """All that the conditions look at, read once."""

    job: Snapshot
    now: int
    paused: bool
    ahead: int
    workers: tuple[WorkerInfo, ...]
    parents: tuple[Snapshot, ...] = ()
    opens_at: int | None = None
    is_crowded: bool = False

    @property
    def servers(self) -> list[WorkerInfo]:
        """The live workers that serve the job's queue."""
        return [worker for worker in self.workers if self.job.queue in worker.queues]


Condition = Callable[[Case], Explanation | None]


def explain(reports: Reports, workers: Workers, clock: Clock, id: int) -> Explanation:
    """The one condition that keeps a job from running, or what became of it. Raises `JobNotFound`."""
    job = reports.job(id)
    alive = tuple(worker for worker in reports.workers() if workers.is_alive(worker))
    ahead = reports.ahead(job) if job.state is State.READY else 0
    now = clock.now()
    parents: tuple[Snapshot, ...] = ()
    opens_at = None
    is_crowded = False
    if job.state is State.READY:
        room = reports.room_in_queue(job.queue, now)
        is_crowded, opens_at = room.free <= 0, room.open_at
    if job.state is State.BLOCKED:
        parents = tuple(reports.job(parent) for parent in reports.parents(id)) if job.pending else ()
        opens_at = None if job.limit_key is None else reports.room(job.limit_key, now).open_at
    case = Case(job, now, job.queue in reports.paused(), ahead, alive, parents, opens_at, is_crowded)
    found = (condition(case) for condition in CONDITIONS)
    return next(explanation for explanation in found if explanation is not None)


def _ended(case: Case) -> Explanation | None:
    job = case.job
    if job.finished_at is None:
        return None
    when = _at(job.finished_at)
    if job.state is State.COMPLETED:
        return Explanation("completed", f"it completed at {when}")
    words = f"{job.reason}: {job.message}" if job.message else f"{job.reason}"
    if job.reason == "expired":
        return Explanation("expired", f"it was not started before it expired, and was cancelled at {when}")
    return Explanation(
        str(job.state), f"it was {job.state} at {when} ({words})".replace("was failed", "failed")
    )


def _running(case: Case) -> Explanation | None:
    job = case.job
    if job.state is not State.RUNNING:
        return None
    if all(worker.id != job.worker for worker in case.workers):
        return Explanation(
            "orphaned", f"its worker {job.worker} died; any live worker will return it to the queue"
        )
    if job.cancelling:
        return Explanation("cancelling", f"it was asked to stop, and ends with attempt {job.attempt}")
    if job.started_at is None:
        return Explanation("running", f"worker {job.worker} holds it and is about to start it")
    words = f"worker {job.worker} has it" if job.task == MESSAGE else f"it runs on worker {job.worker}"
    return Explanation("running", f"{words} since {_at(job.started_at)}, attempt {job.attempt}")


def _blocked(case: Case) -> Explanation | None:
    if case.job.state is not State.BLOCKED:
        return None
    waiting = [parent for parent in case.parents if parent.finished_at is None]
    if waiting:
        first, more = waiting[0], len(waiting) - 1
        words = f"it waits for job {first.id}, which is {first.state}"
        return Explanation("blocked", words + (f", and for {_count(more, 'other job')}" if more else ""))
    limit = case.job.limit_key
    if limit is None:
        return Explanation("blocked", "it is blocked, but the file says by nothing; cancel it and retry it")
    if case.opens_at is None or case.opens_at <= case.now:
        return Explanation("limited", f"its limit {limit!r} has no room; it runs when a job under it ends")
    seconds = (case.opens_at - case.now) / SECOND
    return Explanation("limited", f"the rate of its limit {limit!r} has room again in {seconds:,.1f} s")


def _expiring(case: Case) -> Explanation | None:
    expires = case.job.expires_at
    if expires is None or expires > case.now:
        return None
    if expires == 0:
        return Explanation("parent", f"{case.job.message}, so the next claim cancels it")
    return Explanation("expired", f"it expired at {_at(expires)}; the next claim cancels it")


def _not_due(case: Case) -> Explanation | None:
    job = case.job
    if job.state is not State.SCHEDULED or job.run_at <= case.now:
        return None
    why = f", after {_count(job.failures, 'failure')}" if job.failures else ""
    seconds = (job.run_at - case.now) / SECOND
    return Explanation("not due", f"it is not due before {_at(job.run_at)}, in {seconds:,.0f} s{why}")


def _paused(case: Case) -> Explanation | None:
    if not case.paused:
        return None
    return Explanation("paused", f"its queue {case.job.queue!r} is paused; resume it to let jobs run")


def _unserved(case: Case) -> Explanation | None:
    if case.servers:
        return None
    who = "process gets messages from" if case.job.task == MESSAGE else "worker serves its queue"
    return Explanation("no worker", f"no live {who} {case.job.queue!r}")


def _unresolved(case: Case) -> Explanation | None:
    if not case.job.parked or case.job.task == MESSAGE:
        return None  # a message that a worker of jobs has met is got like any other
    return Explanation(
        "no code",
        f"no worker that met it can resolve its task {case.job.task!r}; start one with --app for the module "
        "that declares it, in the right directory",
    )


def _crowded(case: Case) -> Explanation | None:
    if not case.is_crowded:
        return None
    queue = case.job.queue
    if case.opens_at is None:
        return Explanation(
            "limited", f"the limit of its queue {queue!r} has no room; it runs when a job there ends"
        )
    seconds = (case.opens_at - case.now) / SECOND
    return Explanation("limited", f"the rate of its queue {queue!r} has room again in {seconds:,.1f} s")


def _behind(case: Case) -> Explanation | None:
    if case.ahead == 0:
        return None
    number = "more than 10,000" if case.ahead > AHEAD_LIMIT else f"{case.ahead:,}"
    return Explanation("behind", f"it is behind {number} job{'s' if case.ahead > 1 else ''} of its queue")


def _next(case: Case) -> Explanation:
    return Explanation("next", "nothing keeps it: it is the next to be claimed")


# In this order; what comes later is not asked when something before it already keeps the job.
CONDITIONS: tuple[Condition, ...] = (
    _ended,
    _running,
    _expiring,
    _blocked,
    _not_due,
    _paused,
    _unserved,
    _unresolved,
    _crowded,
    _behind,
    _next,
)


def _at(micros: int) -> str:
    moment: datetime = to_datetime(micros)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
