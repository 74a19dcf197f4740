"""`schedules`: what is enqueued again and again, and when next."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..errors import InvalidOption, shown
from ..options import NO_OPTIONS
from ..queue import Queue
from ..schedules import Schedule
from ..tasks import Call, by_name
from ..timing import Timing
from .arguments import DONE, NO, add_command, add_file, add_json, say_json
from .files import looking, making, reading
from .human import iso, seconds, span, when
from .produce import arguments
from .table import Cell, Column, Row, only_used, table
from .terminal import Terminal
from .text import cut

Action = Callable[[Queue, argparse.Namespace, Terminal], int]
_COUNT = 5
# The options that only this action takes; each takes --json.
_OPTIONS = {
    "add": ("args", "kwargs", "cron", "every", "timezone", "catch_up", "jitter", "no_overlap", "queue"),
    "next": ("count",),
}
_MORE = """
ACTION is one of: list (or nothing), add NAME TASK [ARG …], pause NAME, resume NAME, remove NAME,
run NAME (make a job here and now), next NAME (its next firings, in local time and in UTC).
An ARG is read as by `enqueue`."""


def add(commands: Any) -> None:
    """Add the command of this module."""
    summary = "list schedules, or change one"
    parser = add_command(commands, "schedules", run_schedules, summary, _MORE)
    add_file(parser)
    parser.add_argument(
        "action", metavar="ACTION", nargs="?", default="list", choices=["list", "next", *_ACTIONS]
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the schedule's name")
    parser.add_argument("rest", metavar="TASK", nargs="*", help="for add: package.module:function [ARG …]")
    parser.add_argument("--args", metavar="JSON", help="for add: all positional arguments as one JSON list")
    parser.add_argument("--kwargs", metavar="JSON", help="for add: the keyword arguments as a JSON object")
    parser.add_argument("--cron", metavar="EXPR", help="for add: five fields, as in '0 3 * * mon'")
    parser.add_argument("--every", metavar="TIME", help="for add: an interval: 30s, 15m, 1d")
    parser.add_argument("--timezone", metavar="ZONE", help="for add: where --cron is read (default: UTC)")
    parser.add_argument("--catch-up", metavar="HOW", help="for add: of missed firings make last, all or none")
    parser.add_argument("--jitter", metavar="TIME", help="for add: each job comes later by up to so much")
    parser.add_argument(
        "--no-overlap",
        action="store_true",
        default=None,
        help="for add: none while the one before has not ended",
    )
    parser.add_argument("--queue", help="for add: the queue of its jobs (default: default)")
    parser.add_argument("-n", "--count", type=int, help=f"for next: how many (default: {_COUNT})")
    add_json(parser)


def run_schedules(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show all schedules, or do what is asked to one."""
    check(args)
    if args.action == "list":
        return run_list(args, terminal)
    if args.action == "next":
        return run_next(args, terminal)
    with looking(args.file, terminal.clock):
        pass  # refuses a file that is missing, or that is somebody else's
    with making(args.file, terminal.clock, "default" if args.queue is None else args.queue) as queue:
        return _ACTIONS[args.action](queue, args, terminal)


def check(args: argparse.Namespace) -> None:
    """Raise `InvalidOption` for what the action lacks, and for what it does not take."""
    if args.action != "list" and args.name is None:
        raise InvalidOption(f"schedules {args.action} needs the NAME of a schedule")
    words = [args.name] if args.action == "list" and args.name is not None else []
    words += args.rest if args.action != "add" else []
    options = [
        f"--{name.replace('_', '-')}"
        for action, names in _OPTIONS.items()
        for name in names
        if action != args.action and getattr(args, name) is not None
    ]
    if words or options:
        surplus = ", ".join([*map(shown, words), *options])
        raise InvalidOption(f"schedules {args.action} takes no {surplus}; see `litequeue schedules --help`")


def run_list(args: argparse.Namespace, terminal: Terminal) -> int:
    """A table of all schedules. Exit code 1 when there is none."""
    with reading(args.file, terminal) as desk:
        found = [Schedule(info, terminal.clock) for info in desk.schedules.all()]
    if args.json:
        say_json(terminal, [as_json(schedule) for schedule in found])
    elif found:
        columns = [
            Column("name", cut=cut),
            Column("task", cut=cut),
            Column("fires", cut=cut),
            Column("next"),
            Column("last"),
            Column("job", right=True),
            Column("note"),
        ]
        rows = [_row(schedule, terminal.clock.now()) for schedule in found]
        for line in table(terminal, *only_used(columns, rows, {"last", "job", "note"})):
            terminal.say(line)
    else:
        terminal.say("there are no schedules")
    return DONE if found else NO


def run_next(args: argparse.Namespace, terminal: Terminal) -> int:
    """The next firings of one schedule, in local time and in UTC."""
    with reading(args.file, terminal) as desk:
        schedule = Schedule(desk.schedules.one(args.name), terminal.clock)
    firings = schedule.upcoming(_COUNT if args.count is None else args.count)
    if args.json:
        say_json(terminal, [firing.isoformat() for firing in firings])
        return DONE
    rows = [[_local(firing), firing.strftime("%Y-%m-%d %H:%M:%S UTC")] for firing in firings]
    for line in table(terminal, [Column("local time"), Column("UTC")], rows):
        terminal.say(line)
    return DONE


def add_one(queue: Queue, args: argparse.Namespace, terminal: Terminal) -> int:
    """Add a schedule, or change the one of this name."""
    if not args.rest:
        raise InvalidOption("schedules add needs a TASK: package.module:function")
    args.rest, task = args.rest[1:], args.rest[0]
    positional, keywords = arguments(args)
    named = by_name(task, queue, NO_OPTIONS)
    given: Any = {
        "cron": args.cron,
        "every": _seconds(args.every),
        "timezone": args.timezone,
        "catch_up": args.catch_up,
        "jitter": _seconds(args.jitter),
    }
    timing: Any = {name: value for name, value in given.items() if value is not None}
    schedule = queue.schedules.add(
        args.name, Call(named, positional, keywords), overlap=not args.no_overlap, **timing
    )
    return _tell(terminal, args, f"schedule {args.name!r} fires next {_local(schedule.next_at)}", schedule)


def _seconds(text: str | None) -> float | None:
    return None if text is None else seconds(text)


def pause(queue: Queue, args: argparse.Namespace, terminal: Terminal) -> int:
    """Let it make no jobs."""
    queue.schedules.pause(args.name)
    return _tell(terminal, args, f"schedule {args.name!r} is paused", queue.schedules.get(args.name))


def resume(queue: Queue, args: argparse.Namespace, terminal: Terminal) -> int:
    """Let it make jobs again."""
    queue.schedules.resume(args.name)
    schedule = queue.schedules.get(args.name)
    return _tell(terminal, args, f"schedule {args.name!r} fires next {_local(schedule.next_at)}", schedule)


def remove(queue: Queue, args: argparse.Namespace, terminal: Terminal) -> int:
    """Remove it."""
    schedule = queue.schedules.get(args.name)
    queue.schedules.remove(args.name)
    back = "; the next worker that knows its task declares it again" if schedule.info.declared else ""
    return _tell(terminal, args, f"schedule {args.name!r} is removed{back}", schedule)


def run_now(queue: Queue, args: argparse.Namespace, terminal: Terminal) -> int:
    """Make a job of it."""
    job = queue.schedules.run(args.name)
    if args.json:
        say_json(terminal, {"id": job.id})
    else:
        terminal.say(f"enqueued job {job.id}")
    return DONE


_ACTIONS: dict[str, Action] = {
    "add": add_one,
    "pause": pause,
    "resume": resume,
    "remove": remove,
    "run": run_now,
}


def rule_text(timing: Timing) -> str:
    """When it fires, as a person would say it."""
    if timing.cron is None:
        return f"every {span(timing.every or 0)}"
    return timing.cron if timing.timezone == "UTC" else f"{timing.cron} ({timing.timezone})"


def as_json(schedule: Schedule) -> dict[str, object]:
    """A schedule for machines."""
    info, timing = schedule.info, schedule.timing
    return {
        "name": info.name,
        "task": info.task,
        "cron": timing.cron,
        "every_seconds": None if timing.every is None else timing.every / 1e6,
        "timezone": timing.timezone,
        "catch_up": timing.catch_up,
        "jitter_seconds": timing.jitter / 1e6,
        "overlap": timing.overlap,
        "declared": info.declared,
        "next_at": None if schedule.next_at is None else iso(info.next_at),
        "last_at": iso(info.last_at),
        "last_job": info.last_job,
        "paused_at": iso(info.paused_at),
        "lost_at": iso(info.lost_at),
    }


def _row(schedule: Schedule, now: int) -> Row:
    info = schedule.info
    note = Cell("paused", "yellow") if schedule.paused else ""
    if schedule.lost:
        note = Cell("no task declares it any more", "red")
    is_due = schedule.next_at is not None and info.next_at is not None
    return [
        info.name,
        info.task,
        rule_text(schedule.timing),
        when(info.next_at or 0, now) if is_due else "-",
        "" if info.last_at is None else when(info.last_at, now),
        "" if info.last_job is None else str(info.last_job),
        note,
    ]


def _local(instant: datetime | None) -> str:
    return "never" if instant is None else instant.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _tell(terminal: Terminal, args: argparse.Namespace, text: str, schedule: Schedule) -> int:
    if args.json:
        say_json(terminal, as_json(schedule))
    else:
        terminal.say(text)
    return DONE
