"""`doctor` and `check`: whether a file is well, for people and for monitoring."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from ..clock import duration
from ..desk import Desk
from ..doctor import Finding, Level, examine
from ..errors import DatabaseDamaged, DatabaseError, LiteQueueError
from ..storage.database import Database
from .arguments import DONE, NO, add_command, add_file, add_json, say_json
from .files import changing, looking, reading
from .human import number, seconds, span
from .terminal import Terminal
from .text import clean

_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}
_DOCTOR = """
Exit code 0 when all is well, 1 when anything is not. It changes nothing, unless told to --repair: that
returns the jobs of dead workers, sets rows right that break the schema's rules, counts anew what jobs wait
for, and deletes what is left of jobs that are gone."""
_CHECK = """
For a health probe: one line, and exit code 0 when a worker is alive, no ready job is older than --max-age,
and the file can be written; else 1. It answers within seconds, also when another program has locked the
file."""


def add(commands: Any) -> None:
    """Add the commands of this module."""
    doctor = add_command(commands, "doctor", run_doctor, "look at everything that may be wrong", _DOCTOR)
    add_file(doctor)
    doctor.add_argument("--quick", action="store_true", help="leave out what reads the whole file")
    doctor.add_argument("--repair", action="store_true", help="set right what can be without loss")
    add_json(doctor)
    check = add_command(commands, "check", run_check, "say in one line whether jobs are run", _CHECK)
    add_file(check)
    check.add_argument("--max-age", default="5m", metavar="AGE", help="how long a job may be ready (5m)")
    add_json(check)


def run_doctor(args: argparse.Namespace, terminal: Terminal) -> int:
    """Examine the file, after the repair of it if that is wanted."""
    repaired: list[str] = []
    try:
        if args.repair:
            for text in repair(args.file, terminal):
                repaired.append(text)  # one by one: it is told even if what follows fails
        with reading(args.file, terminal) as desk:
            found = examine(desk, quick=args.quick)
    except DatabaseDamaged as error:
        found = [Finding("file", Level.ERROR, str(error), "restore a backup")]
    if args.json:
        say_json(terminal, {"repaired": repaired, "findings": [asdict(one) for one in found]})
    else:
        for text in repaired:
            terminal.say(f"{terminal.paint('repaired', 'bold')} {text}")
        for one in found:
            say(terminal, one)
    return DONE if all(one.level is Level.OK for one in found) else NO


def repair(file: str, terminal: Terminal) -> Iterator[str]:
    """Set right what can be; what was, in words."""
    with changing(file, terminal.clock) as desk:
        for one in desk.examination.repair():
            yield f"{one.says} ({number(one.rows, 'row')})"
        if desk.backup.mark() is None and (jobs := desk.workers.reap()):
            yield f"{number(jobs, 'job')} of dead workers returned"


def say(terminal: Terminal, one: Finding) -> None:
    """One finding, and what to do about it."""
    level = terminal.paint(f"{one.level:<7}", _COLORS[one.level])
    terminal.say(f"{level} {clean(one.name)}: {clean(one.text)}")
    if one.advice:
        terminal.say(f"        {terminal.paint('->', 'bold')} {clean(one.advice)}")


def run_check(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say whether jobs are run."""
    most = duration(seconds(args.max_age), "--max-age")
    try:
        trouble = troubles(args.file, terminal, most)
    except LiteQueueError as error:
        trouble = [str(error)]
    if args.json:
        say_json(terminal, {"healthy": not trouble, "troubles": trouble})
    else:
        terminal.say(clean("; ".join(trouble)) if trouble else "ok")
    return NO if trouble else DONE


def troubles(file: str, terminal: Terminal, most: int) -> list[str]:
    """What a probe has to tell."""
    with looking(file, terminal.clock, is_probe=True) as desk:
        found = [] if desk.workers.alive() else ["no worker is alive"]
        found += [text for name in desk.reports.queues() for text in late(desk, name, most)]
    try:
        with closing(Database(file, is_probe=True)) as database:
            database.write(lambda connection: None)
    except DatabaseError as error:
        found.append(str(error))
    return found


def late(desk: Desk, queue: str, most: int) -> list[str]:
    """What is to be said of a queue whose oldest ready job is too old; nothing of a paused one."""
    since = desk.reports.oldest_ready(queue)
    age = 0 if since is None else desk.clock.now() - since
    if age <= most or queue in desk.reports.paused():
        return []
    return [f"queue {queue!r}: a job has been ready for {span(age)}"]
