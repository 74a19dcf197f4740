"""`info`: what is in the file, what passed through it in the last hour, who works on it, what is wrong."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..clock import SECOND, duration
from ..desk import Desk
from ..health import Alarm, alarms
from ..job import Snapshot, State, WorkerInfo
from ..traffic import MINUTE, QueueReport, Times, Traffic
from .arguments import DONE, add_command, add_file, add_json, json_text
from .describe import COLORS, moment_of
from .files import reading
from .human import iso, measured, number, seconds, span
from .table import Cell, Column, Row, only_used, table
from .terminal import Terminal
from .text import clean, cut, cut_middle
from .watch import watch
from .workers import state_cell, worker_json

_HOUR = 60 * MINUTE
_STATES = (State.READY, State.SCHEDULED, State.BLOCKED, State.RUNNING, State.FAILED)
_ENDED = (State.COMPLETED, State.CANCELLED)
_RARE = {"scheduled", "blocked", "cancelled", "retried", ""}
_ROOMY = 100  # columns
_SHARES = (0.5, 0.95)
_SHOWN = 3


@dataclass(frozen=True)
class Look:
    """All that `info` shows, read once; each worker with whether it lives, and what it runs."""

    file: str
    path: str
    now: int
    queues: list[QueueReport]
    workers: list[tuple[WorkerInfo, bool, list[Snapshot]]]
    alarms: list[Alarm]

    @property
    def alive(self) -> int:
        """How many workers live."""
        return sum(alive for _, alive, _ in self.workers)


def add(commands: Any) -> None:
    """Add the command of this module."""
    info = add_command(
        commands,
        "info",
        run_info,
        "show the queues, what passed through them in the last hour, the workers, and what is unhealthy",
    )
    add_file(info)
    add_json(info)
    info.add_argument("--watch", action="store_true", help="show it again and again, until Ctrl-C")
    info.add_argument(
        "--every", metavar="TIME", default="1s", help="how often --watch shows it (default: 1s)"
    )


def run_info(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show the file once, or until Ctrl-C."""
    pause = duration(seconds(args.every), "--every") / SECOND
    with reading(args.file, terminal) as desk:

        def lines(sized: Terminal) -> Iterable[str]:
            found = look(desk, args.file)
            return [json_text(as_json(found))] if args.json else as_text(sized, found)

        if args.watch:
            watch(replace(terminal, width=None) if args.json else terminal, pause, lines)
        else:
            for line in lines(terminal):
                terminal.say(line)
    return DONE


def look(desk: Desk, file: str) -> Look:
    """The file as it is now."""
    now = desk.clock.now()
    queues = desk.overview.queues(now - _HOUR, now + 1)
    workers = [
        (worker, desk.workers.is_alive(worker), desk.overview.held(worker.id))
        for worker in desk.reports.workers()
    ]
    return Look(file, desk.database.path, now, queues, workers, alarms(desk, queues))


# --- for people ----------------------------------------------------------------------------------


def as_text(terminal: Terminal, found: Look) -> Iterator[str]:
    """A line about the file, what is wrong, and a table each of queues, the last hour and workers."""
    jobs = sum(sum(queue.counts.values()) for queue in found.queues)
    yield f"{clean(found.file)}: {number(jobs, 'job')}, {number(found.alive, 'worker')} alive"
    if found.alarms:
        yield ""
    for alarm in found.alarms:
        yield from alarm_lines(terminal, alarm)
    if found.queues:
        yield from ("", *queue_lines(terminal, found))
    busy = [queue for queue in found.queues if queue.minutes]
    if busy:
        yield from ("", *hour_lines(terminal, busy))
    if found.workers:
        yield from ("", *worker_lines(terminal, found))


def alarm_lines(terminal: Terminal, alarm: Alarm) -> Iterator[str]:
    """What is wrong, in as many lines as it needs."""
    width = terminal.width or len(alarm.text) * 10
    for line in textwrap.wrap(f"! {clean(alarm.text)}", max(20, width), subsequent_indent="  "):
        yield terminal.paint(line, "yellow")


def queue_lines(terminal: Terminal, found: Look) -> Iterator[str]:
    """How many jobs are in each state; those that need nobody any more only where there is room."""
    is_roomy = terminal.width is None or terminal.width >= _ROOMY
    states = (*_STATES, *_ENDED) if is_roomy else _STATES
    columns = [
        Column("queue", cut=cut),
        *(Column(str(state), right=True) for state in states),
        Column("oldest ready", right=True),
        Column(""),
    ]
    rows = [queue_row(queue, states, found.now) for queue in found.queues]
    yield from table(terminal, *only_used(columns, rows, _RARE))


def queue_row(queue: QueueReport, states: tuple[State, ...], now: int) -> Row:
    """One line of the table; a colour only where there is something to see."""
    counts, oldest = queue.counts, queue.oldest_ready
    return [
        queue.name,
        *(Cell(f"{counts[state]:,}", COLORS[state] if counts[state] else "dim") for state in states),
        "-" if oldest is None else span(max(0, now - oldest)),
        Cell("paused", "yellow") if queue.paused_at is not None else "",
    ]


def hour_lines(terminal: Terminal, queues: list[QueueReport]) -> Iterator[str]:
    """What ended in the last hour, and how long half and nineteen in twenty of it waited and ran at most."""
    columns = [
        Column("last hour", cut=cut),
        *(Column(name, right=True) for name in ("completed", "failed", "retried")),
        *(Column(f"{what} p{share * 100:g}", right=True) for what in ("wait", "run") for share in _SHARES),
    ]
    yield from table(terminal, *only_used(columns, [hour_row(queue) for queue in queues], _RARE))


def hour_row(queue: QueueReport) -> Row:
    """One line of the table."""
    passed = queue.traffic
    return [
        queue.name,
        f"{passed.completed:,}",
        Cell(f"{passed.failed:,}", "red" if passed.failed else "dim"),
        f"{passed.retried:,}",
        *(at_most(times, share) for times in (passed.waits, passed.runs) for share in _SHARES),
    ]


def at_most(times: Times, share: float) -> str:
    """How long so large a share of them took at most."""
    found = times.quantile(share)
    return "-" if found is None else measured(found)


def worker_lines(terminal: Terminal, found: Look) -> Iterator[str]:
    """Who works on the file, and at what."""
    columns = [
        Column("worker", right=True),
        Column("state"),
        Column("name", cut=cut_middle),
        Column("queues", cut=cut),
        Column("running", right=True),
        Column("jobs", cut=cut),
    ]
    rows: list[Row] = [
        [
            str(worker.id),
            state_cell(worker, alive=alive),
            worker.name,
            ", ".join(worker.queues),
            f"{worker.running:,}",
            runs_text(held, worker.running, found.now),
        ]
        for worker, alive, held in found.workers
    ]
    yield from table(terminal, columns, rows)


def runs_text(held: list[Snapshot], running: int, now: int) -> str:
    """The jobs that a worker has run for longest, and how many more it has."""
    begun = sorted(held, key=lambda job: job.started_at or now)[:_SHOWN]
    said = [f"{job.id} {job.task} {moment_of(job, now).removeprefix('since ')}" for job in begun]
    return ", ".join([*said, *([f"and {running - len(begun):,} more"] if running > len(begun) else [])])


# --- for programs --------------------------------------------------------------------------------


def as_json(found: Look) -> dict[str, object]:
    """All of it; lengths of time in seconds."""
    return {
        "file": found.path,
        "workers_alive": found.alive,
        "queues": [queue_json(queue, found.now) for queue in found.queues],
        "workers": [
            {**worker_json(worker, alive=alive), "jobs": [held_json(job) for job in held]}
            for worker, alive, held in found.workers
        ],
        "alarms": [{"kind": one.kind, "about": one.about, "text": one.text} for one in found.alarms],
    }


def queue_json(queue: QueueReport, now: int) -> dict[str, object]:
    """One queue; of no job a length of time is null."""
    oldest = queue.oldest_ready
    return {
        "queue": queue.name,
        "paused": queue.paused_at is not None,
        "counts": {str(state): count for state, count in queue.counts.items()},
        "oldest_ready_seconds": None if oldest is None else max(0, now - oldest) / SECOND,
        "last_hour": traffic_json(queue.traffic),
    }


def traffic_json(passed: Traffic) -> dict[str, object]:
    """What passed through."""
    shares = {
        f"{what}_p{share * 100:g}_seconds": _in_seconds(times.quantile(share))
        for what, times in (("wait", passed.waits), ("run", passed.runs))
        for share in _SHARES
    }
    counts = {"completed": passed.completed, "failed": passed.failed, "retried": passed.retried}
    return {**counts, **shares}


def _in_seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / SECOND


def held_json(job: Snapshot) -> dict[str, object]:
    """What a worker runs."""
    return {"id": job.id, "task": job.task, "queue": job.queue, "started_at": iso(job.started_at)}
