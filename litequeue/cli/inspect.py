"""`list`, `show` and `explain`: jobs, one job, and why it does not run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..desk import Desk
from ..explain import explain
from ..job import FailedAttempt, LogLine, Snapshot
from ..options import whole
from ..storage.steps import StoredStep
from .arguments import (
    DONE,
    NO,
    add_command,
    add_file,
    add_filters,
    add_json,
    chosen_filter,
    job_id,
    say_json,
)
from .describe import (
    COLORS,
    NO_ARGUMENTS,
    as_json,
    call_of,
    encoded,
    moment_of,
    note_of,
    options_of,
    progress_of,
    tags_of,
)
from .files import reading
from .graph import graph_text, kin_of
from .human import iso, number, stamp, when
from .table import Cell, Column, Row, only_used, table
from .terminal import Terminal
from .text import clean, clean_lines, cut, cut_middle

_PAGE = 20
_CALL = 60
_TASK = 24
_LONGEST = 10_000
_MOST = 1_000_000
_OPTIONAL = {"arguments", "priority", "tags", "note"}


def add(commands: Any) -> None:
    """Add the commands of this module."""
    add_list(commands)
    show = add_command(commands, "show", run_show, "show all that is known of one job")
    explained = add_command(
        commands, "explain", run_explain, "name the one thing that keeps a job from running"
    )
    for parser in (show, explained):
        add_file(parser)
        parser.add_argument("id", metavar="ID", help="the job's id")
        add_json(parser)
    show.add_argument("--graph", action="store_true", help="draw the jobs that wait for each other")


def add_list(commands: Any) -> None:
    """The command `list`."""
    parser = add_command(
        commands, "list", run_list, "list jobs, newest first", "Exit code 1 when none matches."
    )
    add_file(parser)
    add_filters(parser)
    parser.add_argument(
        "--limit", type=int, default=_PAGE, metavar="N", help=f"at most N jobs (default: {_PAGE})"
    )
    parser.add_argument("--after", metavar="ID", help="go on after this job, the last of the page before")
    add_json(parser)


# --- list ----------------------------------------------------------------------------------------


def run_list(args: argparse.Namespace, terminal: Terminal) -> int:
    """List the jobs that match."""
    whole(args.limit, "--limit", 1, _MOST)
    after = None if args.after is None else job_id(args.after)
    with reading(args.file, terminal) as desk:
        jobs = desk.reports.jobs(chosen_filter(args, terminal), args.limit + 1, after)
        more, jobs = len(jobs) > args.limit, jobs[: args.limit]
        calls = [] if args.json else [call_in_short(desk, job.id) for job in jobs]
    if args.json:
        say_json(terminal, [as_json(job) for job in jobs])
    elif jobs:
        show_list(terminal, jobs, calls)
    else:
        terminal.say("no job matches")
    if more and not args.json:
        terminal.say(f"there are more: --after {jobs[-1].id}")
    return DONE if jobs else NO


def show_list(terminal: Terminal, jobs: list[Snapshot], calls: list[str]) -> None:
    """A table of jobs."""
    columns = [
        Column("id", right=True),
        Column("state"),
        Column("task", cut=cut_middle, least=_TASK),
        Column("arguments", cut=cut_middle),
        Column("queue", cut=cut),
        Column("priority", right=True),
        Column("when"),
        Column("tags", cut=cut),
        Column("note", cut=cut),
    ]
    now = terminal.clock.now()
    rows = [job_row(job, call, now) for job, call in zip(jobs, calls, strict=True)]
    for line in table(terminal, *only_used(columns, rows, _OPTIONAL)):
        terminal.say(line)


def job_row(job: Snapshot, call: str, now: int) -> Row:
    """One line of the table."""
    return [
        str(job.id),
        Cell(str(job.state), COLORS[job.state]),
        job.task,
        call,
        job.queue,
        str(job.priority),
        moment_of(job, now),
        ", ".join(tags_of(job)),
        note_of(job),
    ]


def call_in_short(desk: Desk, id: int) -> str:
    """The arguments of a job, as far as they fit a column."""
    text = call_of(*desk.reports.payload_head(id, _LONGEST))[0]
    return "" if text == NO_ARGUMENTS else cut_middle(clean(text), _CALL)


# --- show ----------------------------------------------------------------------------------------


def run_show(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show one job with its attempts, log lines and result."""
    id = job_id(args.id)
    with reading(args.file, terminal) as desk:
        job = desk.reports.job(id)
        if args.json:
            say_json(terminal, whole_json(desk, job))
        elif args.graph:
            for line in graph_text(terminal, desk, id):
                terminal.say(line)
        else:
            for line in whole_text(terminal, desk, job):
                terminal.say(line)
    return DONE


def whole_json(desk: Desk, job: Snapshot) -> dict[str, object]:
    """All of a job for machines; `args` and `kwargs` as stored, null when they are not JSON."""
    body, codec = desk.reports.payload(job.id)
    _, args, kwargs = call_of(body, codec)
    result = desk.reports.result(job.id)
    failed = [
        {
            "attempt": one.attempt,
            "failed_at": iso(one.failed_at),
            "reason": one.reason,
            "type": one.type,
            "message": one.message,
            "traceback": one.traceback,
        }
        for one in desk.reports.failures(job.id)
    ]
    log = [
        {"attempt": line.attempt, "at": iso(line.at), "text": line.text} for line in desk.reports.log(job.id)
    ]
    return {
        **as_json(job),
        "codec": codec,
        "args": args,
        "kwargs": kwargs,
        "result_codec": result.codec,
        "result": encoded(result.body, result.codec)[1],
        "parents": desk.reports.parents(job.id),
        "children": desk.reports.children(job.id),
        "failed_attempts": failed,
        "steps": [step_json(step) for step in desk.steps.all(job.id)],
        "log": log,
    }


def step_json(step: StoredStep) -> dict[str, object]:
    """A finished step for machines."""
    return {
        "name": step.name,
        "attempt": step.attempt,
        "at": iso(step.at),
        "result_codec": step.codec,
        "result": encoded(step.body, step.codec)[1],
    }


def whole_text(terminal: Terminal, desk: Desk, job: Snapshot) -> Iterator[str]:
    """All of a job for people."""
    state = terminal.paint(str(job.state), COLORS[job.state])
    reason = note_of(job)
    yield f"job {job.id} is {state}" + (f", {clean(reason)}" if reason else "")
    yield ""
    for name, value in facts(desk, job, terminal.clock.now()):
        yield f"  {terminal.paint(f'{name:<9}', 'dim')} {clean(value)}"
    for failed in desk.reports.failures(job.id):
        yield from failed_text(terminal, failed)
    steps = desk.steps.all(job.id)
    if steps:
        yield from ("", terminal.paint("steps", "bold"), *map(step_text, steps))
    lines = desk.reports.log(job.id)
    if lines:
        yield from ("", terminal.paint("log", "bold"), *map(log_text, lines))


def facts(desk: Desk, job: Snapshot, now: int) -> Iterator[tuple[str, str]]:
    """Names and values, without those that say nothing."""
    result = desk.reports.result(job.id)
    moments = (
        ("created", job.created_at),
        ("for", job.scheduled_for),
        ("due", job.run_at if job.run_at != job.created_at else None),
        ("started", job.started_at),
        ("finished", job.finished_at),
        ("expires", job.expires_at),
    )
    said = (
        ("tags", ", ".join(tags_of(job))),
        ("meta", job.meta),
        ("options", options_of(job)),
        ("unique", job.unique_key),
        ("limit", job.limit_key),
        ("schedule", job.schedule),
    )
    yield "task", job.task
    yield "arguments", call_of(*desk.reports.payload(job.id))[0]
    yield "queue", f"{job.queue}, priority {job.priority}" if job.priority else job.queue
    yield from ((name, value) for name, value in said if value)
    yield from ((name, f"{stamp(at)}, {when(at, now)}") for name, at in moments if at is not None)
    yield from kin_of(desk, job.id)
    yield "attempt", attempt_text(job)
    if job.worker is not None:
        yield "worker", str(job.worker)
    if progress_of(job):
        yield "progress", progress_of(job)
    if job.state == "completed":
        yield "result", encoded(result.body, result.codec)[0]


def attempt_text(job: Snapshot) -> str:
    """The number of the last attempt, and how many went wrong; some may have been given back unstarted."""
    bad = [number(job.failures, "failure")] if job.failures else []
    bad += [f"{job.crashes:,} crash{'' if job.crashes == 1 else 'es'}"] if job.crashes else []
    return ", ".join([str(job.attempt) if job.attempt else "none yet", *bad])


def failed_text(terminal: Terminal, failed: FailedAttempt) -> Iterator[str]:
    """One attempt that failed, with its traceback."""
    ago = when(failed.failed_at, terminal.clock.now())
    what = ": ".join(part for part in (failed.type, failed.message) if part)
    yield ""
    heading = terminal.paint(f"attempt {failed.attempt} failed {ago} ({clean(failed.reason)})", "bold")
    yield f"{heading}: {clean(what)}"
    if failed.traceback:
        yield from (f"  {line}" for line in clean_lines(failed.traceback))


def step_text(step: StoredStep) -> str:
    """One finished step, and as much of what it returned as fits."""
    text = encoded(step.body, step.codec)[0]
    result = cut_middle(clean(text[:_LONGEST]), _CALL)
    return f"  {stamp(step.at)}  attempt {step.attempt}  {clean(step.name)}: {result}"


def log_text(line: LogLine) -> str:
    """One line that the task logged."""
    return f"  {stamp(line.at)}  attempt {line.attempt}  {clean(line.text)}"


# --- explain -------------------------------------------------------------------------------------


def run_explain(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say what keeps a job from running, or what became of it."""
    id = job_id(args.id)
    with reading(args.file, terminal) as desk:
        found = explain(desk.reports, desk.workers, terminal.clock, id)
    if args.json:
        say_json(terminal, {"id": id, "condition": found.condition, "text": found.text})
    else:
        terminal.say(f"job {id}: {clean(found.text)}")
    return DONE
