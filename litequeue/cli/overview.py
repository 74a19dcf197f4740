"""`info` and `workers`: what is in the file, and who works on it."""

from __future__ import annotations

import argparse
from typing import Any

from ..clock import SECOND, duration
from ..desk import Desk
from ..job import State, WorkerInfo
from .arguments import DONE, NO, add_command, add_file, add_json, say_json
from .describe import COLORS
from .files import reading
from .human import iso, number, seconds, span, when
from .table import Cell, Column, Row, only_used, table
from .terminal import Terminal
from .text import clean, cut

_CLEAR = "\x1b[H\x1b[2J"
_RARE = {"scheduled", "blocked", "cancelled", ""}


def add(commands: Any) -> None:
    """Add the commands of this module."""
    info = add_command(commands, "info", run_info, "count the jobs of each queue by state")
    add_file(info)
    add_json(info)
    info.add_argument("--watch", action="store_true", help="show it again and again, until Ctrl-C")
    info.add_argument(
        "--every", metavar="TIME", default="1s", help="how often --watch shows it (default: 1s)"
    )
    workers = add_command(
        commands, "workers", run_workers, "list the workers that signed on", "Exit code 1 when none is alive."
    )
    add_file(workers)
    add_json(workers)


# --- info ----------------------------------------------------------------------------------------


def run_info(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show the queues once, or until Ctrl-C."""
    pause = duration(seconds(args.every), "--every") / SECOND
    with reading(args.file, terminal) as desk:
        if not args.watch:
            show_info(args, terminal, desk)
            return DONE
        try:
            while True:
                if terminal.width is not None and not args.json:
                    print(_CLEAR, end="", file=terminal.out)
                show_info(args, terminal, desk)
                terminal.clock.sleep(pause)
        except KeyboardInterrupt:
            return DONE  # that is how one ends it


def show_info(args: argparse.Namespace, terminal: Terminal, desk: Desk) -> None:
    """The queues as they are now."""
    queues = [read_queue(desk, name) for name in desk.reports.queues()]
    alive = sum(map(desk.workers.is_alive, desk.reports.workers()))
    if args.json:
        say_json(terminal, {"file": desk.database.path, "workers_alive": alive, "queues": queues})
    else:
        show_queues(terminal, args.file, queues, alive)
    terminal.out.flush()


def read_queue(desk: Desk, name: str) -> dict[str, Any]:
    """One queue: its counts, whether it is paused, how long its oldest ready job has waited."""
    oldest = desk.reports.oldest_ready(name)
    return {
        "queue": name,
        "paused": name in desk.reports.paused(),
        "counts": {str(state): count for state, count in desk.reports.counts(name).items()},
        "oldest_ready_seconds": None if oldest is None else max(0, desk.clock.now() - oldest) / 1e6,
    }


def show_queues(terminal: Terminal, file: str, queues: list[dict[str, Any]], alive: int) -> None:
    """A line about the file, and a table of its queues."""
    jobs = sum(sum(queue["counts"].values()) for queue in queues)
    terminal.say(f"{clean(file)}: {number(jobs, 'job')}, {number(alive, 'worker')} alive")
    if not queues:
        return
    columns = [
        Column("queue", cut=cut),
        *(Column(str(state), right=True) for state in State),
        Column("waiting", right=True),
        Column(""),
    ]
    terminal.say()
    for line in table(terminal, *only_used(columns, [queue_row(queue) for queue in queues], _RARE)):
        terminal.say(line)


def queue_row(queue: dict[str, Any]) -> Row:
    """One line of the table; a colour only where there is something to see."""
    counts = queue["counts"]
    waited = queue["oldest_ready_seconds"]
    return [
        queue["queue"],
        *(Cell(f"{counts[state]:,}", COLORS[state] if counts[state] else "dim") for state in State),
        "-" if waited is None else span(round(waited * 1e6)),
        Cell("paused", "yellow") if queue["paused"] else "",
    ]


# --- workers -------------------------------------------------------------------------------------


def run_workers(args: argparse.Namespace, terminal: Terminal) -> int:
    """List the workers, the dead ones that nobody has struck off yet among them."""
    with reading(args.file, terminal) as desk:
        found = [(worker, desk.workers.is_alive(worker)) for worker in desk.reports.workers()]
    if args.json:
        say_json(terminal, [worker_json(worker, alive=alive) for worker, alive in found])
    elif found:
        show_workers(terminal, found)
    else:
        terminal.say("no worker has signed on")
    return DONE if any(alive for _, alive in found) else NO


def show_workers(terminal: Terminal, found: list[tuple[WorkerInfo, bool]]) -> None:
    """A table of workers."""
    columns = [
        Column("id", right=True),
        Column("state"),
        Column("name", cut=cut),
        Column("process", right=True),
        Column("threads", right=True),
        Column("running", right=True),
        Column("queues", cut=cut),
        Column("started"),
        Column("seen"),
    ]
    now = terminal.clock.now()
    for line in table(terminal, columns, [worker_row(worker, alive, now) for worker, alive in found]):
        terminal.say(line)


def worker_row(worker: WorkerInfo, alive: bool, now: int) -> Row:
    """One line of the table."""
    state = Cell("stopping", "yellow") if worker.stopping else Cell("alive", "green")
    return [
        str(worker.id),
        state if alive else Cell("dead", "red"),
        worker.name,
        str(worker.pid),
        str(worker.threads),
        str(worker.running),
        ", ".join(worker.queues),
        when(worker.started_at, now),
        when(worker.seen_at, now),
    ]


def worker_json(worker: WorkerInfo, *, alive: bool) -> dict[str, object]:
    """A worker for machines."""
    return {
        "id": worker.id,
        "name": worker.name,
        "alive": alive,
        "stopping": worker.stopping,
        "pid": worker.pid,
        "threads": worker.threads,
        "running": worker.running,
        "queues": list(worker.queues),
        "started_at": iso(worker.started_at),
        "seen_at": iso(worker.seen_at),
    }
