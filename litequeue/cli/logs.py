"""`logs`: what tasks logged, of one job or of all, and what they will."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from ..clock import SECOND
from ..desk import Desk
from ..errors import InvalidOption
from ..job import FINAL
from ..options import whole
from ..storage.logs import LoggedLine
from .arguments import DONE, NO, add_command, add_file, add_json, job_id, say_json, wanted
from .files import reading
from .human import exact, iso
from .terminal import Terminal
from .text import clean

_PAUSE = 0.5
_LATE = 30 * SECOND  # a line may be stored so long after it was logged
_MOST = 1_000_000
_RECENT = 100
_MORE = """
Those of one job from the first, those of all jobs from the last hundred on, unless --lines is given. With
--follow it goes on with what is logged from now on, until Ctrl-C, or until the one job has ended. Exit code 1
when there is none."""


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "logs", run_logs, "show what tasks logged", _MORE)
    add_file(parser)
    parser.add_argument("id", metavar="ID", nargs="?", help="only the lines of this job")
    parser.add_argument("--queue", help="only the lines of this queue's jobs")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what will be logged")
    parser.add_argument(
        "-n",
        "--lines",
        type=int,
        metavar="N",
        help=f"the last N lines (default: {_RECENT} of all jobs, all of one)",
    )
    add_json(parser)


def run_logs(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show lines, and follow if asked to."""
    if args.lines is not None:
        whole(args.lines, "--lines", 0, _MOST)
    id = None if args.id is None else job_id(args.id)
    if id is not None and args.queue is not None:
        raise InvalidOption("a job is in one queue; give its ID or --queue")
    say = partial(say_line, terminal, as_json=args.json)
    with reading(args.file, terminal) as desk:
        try:
            if id is not None:
                return show_job(desk, terminal, id, say, args)
            return show_all(desk, terminal, args, say)
        except KeyboardInterrupt:
            return DONE  # that is how one ends it


def show_job(
    desk: Desk, terminal: Terminal, id: int, say: Callable[[LoggedLine], None], args: argparse.Namespace
) -> int:
    """The lines of one job, to its end if that is asked for. Raises `JobNotFound`."""
    last, most = 0, args.lines
    while True:
        is_over = desk.reports.job(id).state in FINAL  # asked first, or its last lines might be missed
        lines = desk.logs.of_job(id, last)
        for line in lines if most is None else lines[max(0, len(lines) - most) :]:
            say(line)
        last, most = lines[-1].number if lines else last, None
        if is_over or not args.follow:
            return DONE if last else NO
        terminal.flush()
        terminal.clock.sleep(_PAUSE)


def show_all(
    desk: Desk, terminal: Terminal, args: argparse.Namespace, say: Callable[[LoggedLine], None]
) -> int:
    """The last lines of all jobs, and those that follow."""
    queue = wanted(args.queue, "--queue")
    recent = desk.logs.since(terminal.clock.now() - _LATE, queue)  # first, or one that comes now is missed
    lines = desk.logs.last(_RECENT if args.lines is None else args.lines, queue)
    for line in lines:
        say(line)
    told = set(map(key, [*recent, *lines]))
    while args.follow:
        terminal.flush()
        terminal.clock.sleep(_PAUSE)
        recent = desk.logs.since(terminal.clock.now() - _LATE, queue)
        for line in recent:
            if key(line) not in told:
                say(line)
        told = set(map(key, recent))
    return DONE if lines else NO


def key(line: LoggedLine) -> tuple[int, int]:
    """What no other line has."""
    return line.job, line.number


def say_line(terminal: Terminal, line: LoggedLine, *, as_json: bool) -> None:
    """One line, for a person or for a program."""
    if not as_json:
        terminal.say(f"{exact(line.at)}  job {line.job}  {clean(line.task)}  {clean(line.text)}")
        return
    say_json(
        terminal,
        {
            "job": line.job,
            "attempt": line.attempt,
            "at": iso(line.at),
            "task": line.task,
            "queue": line.queue,
            "text": line.text,
        },
    )
