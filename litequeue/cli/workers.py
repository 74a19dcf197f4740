"""`workers`: who works on the file."""

from __future__ import annotations

import argparse
from typing import Any

from ..job import WorkerInfo
from .arguments import DONE, NO, add_command, add_file, add_json, say_json
from .files import reading
from .human import iso, when
from .table import Cell, Column, Row, table
from .terminal import Terminal
from .text import cut


def add(commands: Any) -> None:
    """Add the command of this module."""
    workers = add_command(
        commands, "workers", run_workers, "list the workers that signed on", "Exit code 1 when none is alive."
    )
    add_file(workers)
    add_json(workers)


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
    return [
        str(worker.id),
        state_cell(worker, alive=alive),
        worker.name,
        str(worker.pid),
        str(worker.threads),
        str(worker.running),
        ", ".join(worker.queues),
        when(worker.started_at, now),
        when(worker.seen_at, now),
    ]


def state_cell(worker: WorkerInfo, *, alive: bool) -> Cell:
    """Whether it lives."""
    if not alive:
        return Cell("dead", "red")
    return Cell("stopping", "yellow") if worker.stopping else Cell("alive", "green")


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
