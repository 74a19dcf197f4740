"""`export` and `import`: jobs as JSON lines, out of one file and into another."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..desk import Desk
from ..errors import EncodingError, InvalidOption, MissingFile, NotAllowed
from ..portable import ending, header, to_line
from ..storage.transfer import Taken
from .arguments import DONE, NO, add_command, add_file, add_filters, add_json, chosen_filter, say_json
from .files import looking, making, reading
from .human import number
from .intake import Intake, Looked, compare, look_through, seekable
from .progress import Progress
from .terminal import Terminal

_BATCH = 500
_EXPORT = """
The first line names the format and the last one the number of jobs; each other line is a job with its
attempts, log, steps and parents. Schedules, and the limits and pauses of queues, are not in it. Exit code 1
when no job matches."""
_IMPORT = """
The whole input is looked through first and compared with what is here: nothing is stored if a line is wrong,
if a job can not be stored beside those that are here, or if the end of the input is missing. Then 500 jobs at
a time are stored, all or none; if that comes to a halt, the line is named from which --from-line goes on.
Jobs get new ids, and keep their relations to each other. What ran when it was exported is ready, or failed if
it may run once at most."""


def add(commands: Any) -> None:
    """Add the commands of this module."""
    export = add_command(commands, "export", run_export, "write jobs as JSON lines", _EXPORT)
    add_file(export)
    add_filters(export)
    brought = add_command(commands, "import", run_import, "store the jobs of an export", _IMPORT)
    add_file(brought, is_made=True)
    brought.add_argument(
        "--keep-ids", action="store_true", help="under the ids that they had, if these are free"
    )
    brought.add_argument(
        "--from-line", type=int, default=1, metavar="N", help="leave out the jobs of the lines before it"
    )
    brought.add_argument("--dry-run", action="store_true", help="only look through the input")
    add_json(brought)


# --- out -----------------------------------------------------------------------------------------


def run_export(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write the jobs that match, each after those that it waits for."""
    chosen = chosen_filter(args, terminal)
    done = 0
    with (
        reading(args.file, terminal) as desk,
        Progress(terminal, "export", desk.reports.count(chosen)) as progress,
    ):
        terminal.say(header())
        for done, one in enumerate(desk.transfer.jobs(chosen), 1):
            terminal.say(to_line(one))
            if done % _BATCH == 0:
                progress.update(done)
        terminal.say(ending(done))
    return DONE if done else NO


# --- in ------------------------------------------------------------------------------------------


@dataclass
class Brought:
    """What is stored: the ids, and the line from which to go on, until that is all."""

    ids: list[int] = field(default_factory=list)
    next_line: int | None = 1


def run_import(args: argparse.Namespace, terminal: Terminal) -> int:
    """Store the jobs of the input."""
    if args.from_line < 1:
        raise InvalidOption(f"--from-line {args.from_line}: lines are counted from 1")
    with seekable(terminal.input) as source:
        intake = Intake(source, args.from_line)
        with _untouched(), Progress(terminal, "check") as progress:
            looked = look_through(intake, progress, keep_ids=args.keep_ids)
        if intake.may_be_torn:
            terminal.complain("the input is of an older form, which does not say whether it is whole")
        if args.dry_run:
            try_out(looked, args, terminal)
        else:
            bring(intake, looked, args, terminal)
    return DONE


def try_out(looked: Looked, args: argparse.Namespace, terminal: Terminal) -> None:
    """Only say what could be imported; the file need not be there yet."""
    with suppress(MissingFile), _untouched(), looking(args.file, terminal.clock) as desk:
        compare(desk, looked.stakes)
    tell(Brought(next_line=None), looked.jobs, args, terminal)


def bring(intake: Intake, looked: Looked, args: argparse.Namespace, terminal: Terminal) -> None:
    """Store what was looked through, and tell what is stored, also when it comes to a halt."""
    brought = Brought()
    with making(args.file, terminal.clock) as queue:
        with _untouched():
            compare(queue.desk, looked.stakes)
        try:
            with Progress(terminal, "import", looked.jobs) as progress:
                store(queue.desk, intake, brought, progress, keep_ids=args.keep_ids)
        finally:
            if brought.ids or brought.next_line is None:
                tell(brought, len(brought.ids), args, terminal)


def store(desk: Desk, intake: Intake, brought: Brought, progress: Progress, *, keep_ids: bool) -> None:
    """Store the jobs, batch by batch."""
    taken = Taken()
    jobs = intake.jobs()
    while batch := tuple(islice(jobs, _BATCH)):
        brought.next_line = batch[0].line
        brought.ids += desk.transfer.store(batch, taken, keep_ids=keep_ids)
        progress.update(len(brought.ids))
    brought.next_line = None


def tell(brought: Brought, jobs: int, args: argparse.Namespace, terminal: Terminal) -> None:
    """Say how many jobs were, or could be, imported, and how to go on with the rest."""
    first, last = min(brought.ids, default=None), max(brought.ids, default=None)
    if args.json:
        said = {"jobs": jobs, "first": first, "last": last, "next_line": brought.next_line}
        say_json(terminal, said)
    elif args.dry_run:
        terminal.say(f"{number(jobs, 'job')} can be imported")
    else:
        terminal.say(f"imported {number(jobs, 'job')}" + (f", ids {first} to {last}" if jobs else ""))
        if brought.next_line is not None:
            terminal.say(f"the rest is not: import the same input with --from-line {brought.next_line}")


@contextmanager
def _untouched() -> Iterator[None]:
    """What goes wrong in the block has left the file as it was, which is said."""
    try:
        yield
    except (EncodingError, NotAllowed) as error:
        raise type(error)(f"{error}; nothing was imported") from error
