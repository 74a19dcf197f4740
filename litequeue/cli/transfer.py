"""`export` and `import`: jobs as JSON lines, out of one file and into another."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TextIO

from ..errors import EncodingError
from ..portable import from_line, header, require_header, to_line
from ..storage.transfer import Numbered, Taken, lacks
from .arguments import DONE, NO, add_command, add_file, add_filters, add_json, chosen_filter, say_json
from .files import making, reading
from .human import number
from .progress import Progress
from .terminal import Terminal

_BATCH = 500
_EXPORT = """
The first line names the format, each other line is a job with its attempts, log, steps and parents.
Schedules, and the limits and pauses of queues, are not in it. Exit code 1 when no job matches."""
_IMPORT = """
The whole input is looked through first, and nothing is stored if a line is wrong. Then 500 jobs at a time are
stored, all or none. Jobs get new ids, and keep their relations to each other. What ran when it was exported
is ready, or failed if it may run once at most."""


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
    brought.add_argument("--dry-run", action="store_true", help="only look through the input")
    add_json(brought)


def run_export(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write the jobs that match, each after those that it waits for."""
    chosen = chosen_filter(args, terminal)
    done = 0
    terminal.say(header())
    with (
        reading(args.file, terminal) as desk,
        Progress(terminal, "export", desk.reports.count(chosen)) as progress,
    ):
        for done, one in enumerate(desk.transfer.jobs(chosen), 1):
            terminal.say(to_line(one))
            if done % _BATCH == 0:
                progress.update(done)
    return DONE if done else NO


def run_import(args: argparse.Namespace, terminal: Terminal) -> int:
    """Store the jobs of the input."""
    with _seekable(terminal.input) as source:
        total = look_through(source, terminal)
        ids = [] if args.dry_run else store(source, args, terminal, total)
    if args.json:
        say_json(terminal, {"jobs": total, "first": min(ids, default=None), "last": max(ids, default=None)})
    elif args.dry_run:
        terminal.say(f"{number(total, 'job')} can be imported")
    else:
        terminal.say(
            f"imported {number(len(ids), 'job')}" + (f", ids {min(ids)} to {max(ids)}" if ids else "")
        )
    return DONE


def look_through(source: TextIO, terminal: Terminal) -> int:
    """How many jobs the input holds. Raises `EncodingError` for the first line that is wrong."""
    known: set[int] = set()
    with Progress(terminal, "check") as progress:
        for line, one in _numbered(source):
            why = "its id has stood before" if one.job["id"] in known else lacks(one, known)
            if why is not None:
                raise EncodingError(f"line {line}: {why}; nothing was imported")
            known.add(one.job["id"])
            if len(known) % _BATCH == 0:
                progress.update(len(known))
    return len(known)


def store(source: TextIO, args: argparse.Namespace, terminal: Terminal, total: int) -> list[int]:
    """Store the jobs, batch by batch; their ids."""
    taken = Taken()
    ids: list[int] = []
    with (
        making(args.file, terminal.clock) as queue,
        Progress(terminal, "import", total) as progress,
    ):
        jobs = _numbered(source)
        while batch := tuple(islice(jobs, _BATCH)):
            ids += queue.desk.transfer.store(batch, taken, keep_ids=args.keep_ids)
            progress.update(len(ids))
    return ids


def _numbered(source: TextIO) -> Iterator[Numbered]:
    """The jobs of the input, with the lines that they stand on. Raises `EncodingError`."""
    source.seek(0)
    number = 0
    try:
        for number, line in enumerate(source, 1):
            if number == 1:
                require_header(line)
            elif line.strip():
                yield Numbered(number, from_line(line))
    except UnicodeDecodeError as error:
        raise EncodingError(f"line {number + 1}: {error}; nothing was imported") from error
    except EncodingError as error:
        raise EncodingError(f"line {number}: {error}; nothing was imported") from error
    if number == 0:
        raise EncodingError("the input is empty; give it what `litequeue export` has written")


@contextmanager
def _seekable(source: TextIO) -> Iterator[TextIO]:
    """The input, which is read twice."""
    if source.seekable():
        yield source
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as kept:
        shutil.copyfileobj(source, kept)
        yield kept
