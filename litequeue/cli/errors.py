"""`errors`: what was raised where, how often, and by whom last."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from ..options import whole
from ..traffic import ErrorReport
from .arguments import DONE, NO, add_command, add_file, add_json, say_json, wanted
from .files import reading
from .human import iso, number, when
from .table import Cell, Column, Row, table
from .terminal import Terminal
from .text import clean, cut, cut_middle

_MOST = 1_000_000
_LEAST = 40  # what is typed again is worth more than what is only read
_MORE = """
An attempt that failed is counted by the type of what it raised, and the place where: file and line of the
innermost frame, or `-` for none. `retry --error` takes that as it is shown here, or the type alone. Exit
code 1 when no attempt failed."""


def add(commands: Any) -> None:
    """Add the command of this module."""
    parser = add_command(commands, "errors", run_errors, "count failed attempts by error and place", _MORE)
    add_file(parser)
    parser.add_argument("--queue", help="only those of this queue")
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help="at most N errors, the most frequent (default: 20)"
    )
    add_json(parser)


def run_errors(args: argparse.Namespace, terminal: Terminal) -> int:
    """List errors, the most frequent first."""
    whole(args.limit, "--limit", 1, _MOST)
    with reading(args.file, terminal) as desk:
        found = desk.overview.errors(wanted(args.queue, "--queue"), args.limit + 1)
    more, found = len(found) > args.limit, found[: args.limit]
    if args.json:
        say_json(terminal, [as_json(error) for error in found])
    elif found:
        show(terminal, args, found)
    else:
        terminal.say("no attempt has failed")
    if more and not args.json:
        terminal.say(f"there are more: --limit {2 * args.limit}")
    return DONE if found else NO


def show(terminal: Terminal, args: argparse.Namespace, found: list[ErrorReport]) -> None:
    """A table of errors, and how to try the jobs of the first again."""
    columns = [
        Column("attempts", right=True),
        Column("jobs failed", right=True),
        Column("last"),
        Column("job", right=True),
        Column("error", cut=cut_middle, least=_LEAST),
        Column("message", cut=cut),
    ]
    now = terminal.clock.now()
    for line in table(terminal, columns, [error_row(error, now) for error in found]):
        terminal.say(line)
    retriable = [error for error in found if error.jobs and error.type]
    for error in retriable[:1]:
        lane = [] if args.queue is None else ["--queue", args.queue]
        words = " ".join(map(shlex.quote, ("retry", args.file, *lane, "--error", error.key)))
        terminal.say()
        terminal.say(f"to run {number(error.jobs, 'job')} again: python3 -m litequeue {clean(words)}")


def error_row(error: ErrorReport, now: int) -> Row:
    """One line of the table."""
    return [
        f"{error.failures:,}",
        Cell(f"{error.jobs:,}", "red" if error.jobs else "dim"),
        when(error.last_at, now),
        str(error.job),
        error.key,
        error.message,
    ]


def as_json(error: ErrorReport) -> dict[str, object]:
    """One error for machines; `error` is what `--error` takes."""
    return {
        "error": error.key,
        "type": error.type,
        "place": error.place,
        "attempts": error.failures,
        "jobs_failed": error.jobs,
        "last_at": iso(error.last_at),
        "job": error.job,
        "message": error.message,
    }
