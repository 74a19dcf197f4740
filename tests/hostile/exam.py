"""What people, programs and workers do with a file that may hold anything, and what comes of it."""

from __future__ import annotations

import argparse
import io
import json
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path

from litequeue import Job, Queue
from litequeue.cli.program import make_parser
from litequeue.cli.terminal import Terminal
from litequeue.clock import SystemClock
from litequeue.desk import Desk
from litequeue.errors import LiteQueueError
from litequeue.job import (
    FINAL,
    Cancelled,
    Complete,
    Crash,
    Fail,
    Filter,
    Flow,
    Lease,
    NewJobs,
    NewWorker,
    Release,
    Rule,
    Settlement,
    Snoozed,
    StoredResult,
    Turn,
    Want,
)
from litequeue.testing import HandClock
from litequeue.worker.firing import fire
from litequeue.worker.teller import Teller
from tests.hostile.images import ERROR, JOBS, Rows

Step = Callable[[], object]
COMMANDS = (
    *(("list", "--limit", "30"), ("show", "ID"), ("info",), ("explain", "ID"), ("workers",)),
    *(("schedules",), ("show", "ID", "--graph"), ("errors",), ("logs",), ("logs", "ID")),
    ("list", "--error", "ValueError@app.py:1"),
)
NOTHING = StoredResult(None, None)
LANES = ("default", "mail", "flow")


def examine(
    path: Path, number: int, history: Sequence[Rows] = (), commands: int = 1, *, is_usable: bool = False
) -> list[str]:
    """Do with the file what its users do; what was neither an answer nor an error of ours.

    So many commands are tried, from the one of this number on; each as text or as JSON. In a file that
    `is_usable` a good job must run to its end, and then there must be peace.
    """
    found: list[str] = []
    steps = [partial(_print, path, number + more) for more in range(commands)]
    steps.append(partial(_work, path, number, history))
    if is_usable:
        steps.insert(0 if number % 4 < 2 else len(steps), partial(go_on, path))
    for step in steps:
        try:
            step()
        except LiteQueueError:
            if step.func is go_on:
                found.append(traceback.format_exc())
        except BaseException:  # whatever it is, it is what we look for
            found.append(traceback.format_exc())
    return found


def each(steps: Iterable[Step]) -> None:
    """Take every step; an error of ours ends only its own."""
    for step in steps:
        try:
            step()
        except LiteQueueError:
            continue


# --- a person ------------------------------------------------------------------------------------


def _print(path: Path, number: int) -> None:
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(out, err, io.StringIO(), SystemClock(), 100)
    args = _parsed(number % len(COMMANDS), is_json=number % 2 == 0)
    args.file, args.id = str(path), str(1 + number % JOBS)
    try:
        assert args.run(args, terminal) in (0, 1)
    except LiteQueueError as error:
        terminal.complain(str(error))
    said = out.getvalue()
    for text in (said, err.getvalue()):
        assert all(character.isprintable() or character == "\n" for character in text), ascii(text)
    if args.json and said:
        json.loads(said, parse_constant=_refuse)


@cache
def _parsed(command: int, *, is_json: bool) -> argparse.Namespace:
    name, *rest = COMMANDS[command]
    return make_parser().parse_args([name, "FILE", *rest, *["--json"][: int(is_json)]])


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# --- a program, a worker, an operator ------------------------------------------------------------


def _work(path: Path, number: int, history: Sequence[Rows]) -> None:
    with Queue(path, durability="normal", clock=HandClock()) as queue:
        each(
            [
                lambda: _look(queue, history),
                lambda: _serve(queue.desk),
                lambda: _OTHERS[number % len(_OTHERS)](queue, 1 + number % JOBS),
                lambda: queue.enqueue("app:task", 1),
            ]
        )


def go_on(path: Path) -> None:
    """Good jobs run, in a queue of forged ones and in one of their own; then nobody turns for nothing."""
    clock = HandClock()
    for name in ("default", "spare"):
        with Queue(path, name, durability="normal", clock=clock) as queue:
            good = queue.task(name="app:good")(_run).enqueue(1)
            queue.drain(limit=200)
            assert good.refresh().state == "completed", good.explain()
    with Queue(path, durability="normal", clock=clock) as queue:
        _come_to_rest(queue.desk)


def _come_to_rest(desk: Desk) -> None:
    store, now = desk.store, desk.clock.now()
    fire(desk, Teller(desk, lambda name: None))
    due = desk.schedules.next_firing()
    assert due is None or due > now, f"a schedule is due at {due} for ever"
    desk.workers.reap()
    assert not desk.workers.reap(), "the same jobs are reaped again and again"
    worker = desk.workers.sign_on(NewWorker("rest", 1, LANES), locked=False)
    for _ in range(100):
        claim = store.claim(worker, [Want(name, 99, 99, revive=store.parked_tasks([name])) for name in LANES])
        store.take_turn(worker, Turn(tuple(Complete(job.lease) for job in claim.jobs)))
        if not (claim.jobs or claim.ended or claim.parked):
            break
    # A queue that is limited as a whole may hold what nobody may begin.
    free = [name for name in LANES if desk.reports.queue_rule(name) == Rule()]
    assert not store.is_work_waiting(free), "there is always work, of which a claim brings none"
    due = store.next_due(LANES)
    assert due is None or due > now, f"something is due at {due} for ever"
    assert not any(store.prune() for _ in range(9)) or not store.prune(), "there is always something to prune"


def _look(queue: Queue, history: Sequence[Rows]) -> None:
    jobs = [job for name in LANES for job in queue.jobs(queue=name)]
    seen = tuple(sorted((job.id, str(job.state), job.attempt) for job in jobs))
    assert not history or seen in history, f"no commit left the jobs so: {seen}"
    each(step for job in jobs[::4] for step in _facts(job))
    each([queue.counts, queue.workers])


def _facts(job: Job[object]) -> list[Step]:
    return [
        lambda: [job.args, job.kwargs],
        lambda: [job.errors, job.log, job.tags, repr(job)],
        lambda: [job.parents, job.children],
        lambda: [(step.name, step.attempt, step.at, step.result) for step in job.steps],
        lambda: [job.meta, job.created_at, job.run_at, job.started_at, job.finished_at],
        job.explain,
        lambda: job.result(0) if job.state in FINAL else None,
    ]


def _serve(desk: Desk) -> None:
    """A worker's verbs: it reaps, claims, settles in every way, and signs off."""
    store, workers = desk.store, desk.workers
    each([lambda: store.enqueue([NewJobs("app:task", "default", ("[[],{}]",))]), workers.reap])
    worker = workers.sign_on(NewWorker("c", 2, LANES), locked=False)
    each(
        [
            lambda: store.is_work_waiting(LANES),
            lambda: store.next_due(LANES),
            lambda: store.parked_tasks(LANES),
            lambda: _claim_and_settle(desk, worker),
            lambda: desk.reports.cancelling(worker),
            lambda: _count(desk),
            lambda: desk.steps.find(JOBS - 3, "step"),
            lambda: workers.renew(worker, 10**7),
            lambda: workers.sign_off(worker),
        ]
    )


def _count(desk: Desk) -> None:
    """Write what ended beside what was written before, and read both."""
    now = desk.clock.now()
    desk.minutes.count("default", "completed", now, desk.clock.monotonic(), 5)
    each([desk.minutes.write, lambda: desk.overview.queues(now - 10**10, now), desk.overview.totals])


def _claim_and_settle(desk: Desk, worker: int) -> None:
    want = Want("default", 6, 12, revive=frozenset({"no:where"}))
    jobs = desk.store.claim(worker, [want, Want("mail", 1, 1), Want("flow", 2, 2)]).jobs
    leases = [job.lease for job in jobs]
    for lease in leases:
        each([partial(desk.steps.find, lease.job, "one"), partial(desk.steps.keep, lease, "one", NOTHING)])
    each(
        lambda lease=lease: desk.steps.keep(lease, "another", StoredResult("5", "json"))  # type: ignore[misc]
        for lease in leases[:2]
    )
    each(
        lambda lease=lease, end=end: desk.store.settle(end(lease))  # type: ignore[misc]
        for lease, end in zip(leases, _endings(desk.clock.now()) * 2, strict=False)
    )


def _endings(now: int) -> list[Callable[[Lease], Settlement]]:
    return [
        lambda lease: Complete(lease, "5", "json"),
        Complete,
        lambda lease: Fail(lease, ERROR),
        lambda lease: Fail(lease, ERROR, now),
        lambda lease: Crash(lease, ERROR),
        lambda lease: Snoozed(lease, now),
        Release,
        Cancelled,
    ]


def _keep_time(queue: Queue, _: int) -> None:
    """What is done about schedules after nobody was there for a while."""
    desk = queue.desk
    assert isinstance(queue.clock, HandClock)
    queue.clock.advance(50)
    each([lambda: [(repr(each), each.next_at, each.last_at) for each in queue.schedules]])
    teller = Teller(desk, queue.runnable.get)
    each([lambda: fire(desk, teller), lambda: fire(desk, teller)])
    for name in ("nightly", "often"):
        each(
            [
                lambda name=name: queue.schedules.get(name).upcoming(3),  # type: ignore[misc]
                lambda name=name: queue.schedules.run(name),  # type: ignore[misc]
                lambda name=name: queue.schedules.pause(name),  # type: ignore[misc]
                lambda name=name: queue.schedules.resume(name),  # type: ignore[misc]
            ]
        )


def _drain(queue: Queue, _: int) -> None:
    """A worker in this thread, with the code for some of the jobs."""
    for name in ("app:task", "app:child", "app:limited"):
        queue.task(name=name, retry=2)(_run)
    each([lambda: queue.drain(limit=20)])


def _run(*args: object, **kwargs: object) -> object:
    if kwargs:
        raise ValueError(kwargs)
    return args


def _operate(queue: Queue, job: int) -> None:
    store = queue.desk.store
    each(
        [
            lambda: store.cancel(job),
            lambda: store.retry(job),
            lambda: store.cancel(1 + (job + 7) % JOBS, "no"),
            lambda: store.retry_all(Filter()),
            lambda: store.cancel_all(Filter(tag="a", queue="mail")),
            lambda: store.delete(1 + (job + 13) % JOBS),
            store.prune,
            lambda: store.resume("mail"),
            lambda: store.cancel_tree(JOBS - 3),
            lambda: store.limit("flow", Rule(1)),
            lambda: store.enqueue_flow([NewJobs("app:x", "flow", ("[[],{}]",), flow=Flow(unique_key="key"))]),
        ]
    )


_OTHERS = (_keep_time, _operate, _drain)
