"""`worker`: run jobs until stopped."""

from __future__ import annotations

import argparse
import os
import re
from typing import Any

from ..clock import SECOND, duration
from ..errors import DatabaseError
from ..log import log
from ..worker import Worker, WorkerOptions
from ..worker import logs as worker_logs
from ..worker.notify import taken_from
from ..worker.process import share_interpreter
from .arguments import DONE, FAILED_BY_FILE, add_command, add_file
from .files import making
from .human import seconds
from .terminal import Terminal

_MORE = """
With --app it runs the tasks of those modules and nothing else. Without, it runs tasks made by
@queue.task whose modules lie under the directory it is started in. A first Ctrl-C (SIGTERM, SIGHUP)
lets running jobs finish, a second one gives them back at once. Exit code 3: it stopped because its
file was removed, replaced, damaged, or upgraded by a newer litequeue, or could not be written at its end."""


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "worker", run_worker, "run jobs until stopped", _MORE)
    add_file(parser, is_made=True)
    parser.add_argument(
        "--app",
        action="append",
        metavar="MODULE",
        help="a module with tasks and schedules; may be given again",
    )
    parser.add_argument(
        "--queues", metavar="A,B", default="default", help="the queues to serve (default: default)"
    )
    add_size(parser)


def add_size(parser: argparse.ArgumentParser) -> None:
    """The options that say how much a worker does, and how it ends and logs."""
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="jobs at once (default: 1)")
    parser.add_argument(
        "--async-slots", type=int, default=100, metavar="N", help="coroutines at once (default: 100)"
    )
    parser.add_argument(
        "--processes", type=int, default=0, metavar="N", help="processes, each with so many threads"
    )
    parser.add_argument("--burst", action="store_true", help="stop when no job is ready any more")
    parser.add_argument("--max-jobs", type=int, metavar="N", help="stop after so many jobs")
    parser.add_argument(
        "--grace", default="10s", metavar="TIME", help="how long jobs may finish after a stop (10s)"
    )
    parser.add_argument("--log-json", action="store_true", help="log JSON objects, one per line")


def run_worker(args: argparse.Namespace, terminal: Terminal) -> int:
    """Run a worker in this process, or a crew of processes."""
    options = worker_options(args, args.queues)
    kind = configure(args)
    with making(args.file, terminal.clock, options.queues[0]) as queue:
        database = queue.desk.database  # opened here: what is refused at once is misuse
        tell_begin(database.path, options)
        try:
            notifier = taken_from(os.environ, queue.clock)
            Worker(queue, options, apps=args.app, log=kind, notifier=notifier).run()
        except DatabaseError as error:
            terminal.complain(str(error))
            return FAILED_BY_FILE
    return DONE


def worker_options(args: argparse.Namespace, queues: str) -> WorkerOptions:
    """The options of a worker that a person typed. Raises `InvalidOption`."""
    return WorkerOptions(
        queues=tuple(filter(None, re.split(r"[,\s]+", queues))),
        threads=args.threads,
        async_slots=args.async_slots,
        processes=args.processes,
        burst=args.burst,
        max_jobs=args.max_jobs,
        grace=duration(seconds(args.grace), "--grace"),
    )


def configure(args: argparse.Namespace) -> str:
    """Make this process one of a worker; the kind of its log."""
    share_interpreter()
    kind = "json" if args.log_json else "text"
    worker_logs.configure(kind)
    return kind


def tell_begin(path: str, options: WorkerOptions) -> None:
    """Log what the worker works on."""
    log.info(
        "work on %s queues=%s threads=%d processes=%d grace=%d",
        path,
        ",".join(options.queues),
        options.threads,
        options.processes,
        options.grace // SECOND,
    )
