"""`prune`, `vacuum`, `backup` and `restore`: what keeps a file small, and safe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from ..desk import Desk
from ..errors import InvalidOption, NotAllowed
from ..job import FINAL, Filter, State, state_named
from ..storage.care import Space
from .arguments import DONE, NO, add_command, add_file, add_json, age_before, say_json, wanted
from .files import changing, looking, reading
from .human import number, size
from .progress import Progress
from .terminal import Terminal

_STATES = ", ".join(sorted(FINAL))


def add(commands: Any) -> None:
    """Add the commands of this module."""
    prune = add_command(commands, "prune", run_prune, "delete final jobs whose retention is over")
    add_file(prune)
    prune.add_argument("--state", help=f"only jobs in this state: {_STATES}")
    prune.add_argument("--queue", help="only jobs of this queue")
    prune.add_argument(
        "--older-than", metavar="AGE", help="what ended longer ago than AGE, whatever its retention: 7d"
    )
    prune.add_argument("--dry-run", action="store_true", help="only say how many there are")
    add_json(prune)
    vacuum = add_command(commands, "vacuum", run_vacuum, "give the room that jobs have left back to the disk")
    add_file(vacuum)
    vacuum.add_argument(
        "--full", action="store_true", help="write the whole file anew; only while no worker is alive"
    )
    add_json(vacuum)
    backup = add_command(
        commands, "backup", run_backup, "copy the file while workers run, and check the copy", _BACKUP
    )
    add_file(backup)
    backup.add_argument("copy", metavar="COPY", help="where to write the copy")
    backup.add_argument("--force", action="store_true", help="in place of a file that is there")
    add_json(backup)
    restore = add_command(commands, "restore", run_restore, "make a backup a queue of its own", _RESTORE)
    add_file(restore)
    add_json(restore)


_BACKUP = """
The copy is one file. Every command can look into it, but no worker runs its jobs, for the original may run
them as well, before `restore` has made it a queue of its own. If this command is killed, what it has written
so far lies beside COPY under a name that ends in .part, and can be deleted."""
_RESTORE = """
From then on workers run its jobs. What ran in the original when the copy was made is ready again, or failed
if it may run once at most. Make sure that the original is gone, or its jobs run twice."""


# --- prune ---------------------------------------------------------------------------------------


def run_prune(args: argparse.Namespace, terminal: Terminal) -> int:
    """Delete final jobs whose retention is over, or those that ended long ago."""
    state = None if args.state is None else state_named(args.state)
    if state is not None and state not in FINAL:
        raise InvalidOption(f"--state {state}: such jobs are not final; the final states are {_STATES}")
    queue = wanted(args.queue, "--queue")
    chosen = Filter(state=state, queue=queue, ended_before=age_before(args.older_than, terminal))
    if args.dry_run:
        with reading(args.file, terminal) as desk:
            gone = count_prunable(desk, chosen)
    else:
        with changing(args.file, terminal.clock) as desk, Progress(terminal, "prune") as progress:
            gone = prune(desk, chosen, progress)
    if args.json:
        say_json(terminal, {"changed": 0, "prunable": gone} if args.dry_run else {"changed": gone})
    else:
        terminal.say(f"{number(gone, 'job')} {'would be ' if args.dry_run else ''}pruned")
    return DONE


def prune(desk: Desk, chosen: Filter, progress: Progress) -> int:
    """Delete the jobs, a bounded number per transaction; how many."""
    gone = 0
    if chosen.ended_before is None:
        while some := desk.store.prune(state=chosen.state, queue=chosen.queue):
            gone += some
            progress.update(gone)
        return gone
    for state in sorted(FINAL) if chosen.state is None else [chosen.state]:
        before = gone
        gone += desk.store.delete_all(
            replace(chosen, state=state),
            lambda done, before=before: progress.update(before + done),  # type: ignore[misc]
        )
    return gone


def count_prunable(desk: Desk, chosen: Filter) -> int:
    """How many jobs `prune` would delete."""
    if chosen.ended_before is None:
        return desk.store.prunable(state=chosen.state, queue=chosen.queue)
    states = sorted(FINAL) if chosen.state is None else [chosen.state]
    return sum(desk.reports.count(replace(chosen, state=state)) for state in states)


# --- vacuum --------------------------------------------------------------------------------------


def run_vacuum(args: argparse.Namespace, terminal: Terminal) -> int:
    """Give free pages back, step by step, or rebuild the whole file."""
    with changing(args.file, terminal.clock) as desk:
        before = desk.care.space()
        if args.full:
            refuse_workers(desk)
            desk.care.rebuild()
        else:
            give_back(desk, before, terminal)
        after = desk.care.space()
    given = before.pages - after.pages
    if args.json:
        say_json(terminal, {"pages": given, "free": after.free, "bytes": after.pages * after.page_size})
    else:
        terminal.say(told(before, after))
    return DONE if after.free == 0 or given else NO


def give_back(desk: Desk, space: Space, terminal: Terminal) -> None:
    """Give back what is free, in many small transactions."""
    given = 0
    with Progress(terminal, "vacuum", space.free) as progress:
        while some := desk.care.give_back():
            given += some
            progress.update(given)
    desk.care.cut()


def refuse_workers(desk: Desk) -> None:
    """Raise `NotAllowed` while a worker is alive: it would have to wait for all of it."""
    alive = desk.workers.alive()
    if alive:
        raise NotAllowed(
            f"{number(len(alive), 'worker')} alive on this file (process {alive[0].pid}); stop them before "
            "--full, or leave it out: without it they go on working"
        )


def told(before: Space, after: Space) -> str:
    """What became of the file, in words."""
    text = f"{size(before.pages * before.page_size)} before, {size(after.pages * after.page_size)} now"
    if after.free and not after.gives_back:
        return (
            f"{text}: {size(after.free * after.page_size)} are free for new jobs, but this file was made "
            "without auto_vacuum=INCREMENTAL, so only --full gives them back to the disk"
        )
    return text


# --- copies --------------------------------------------------------------------------------------


def run_backup(args: argparse.Namespace, terminal: Terminal) -> int:
    """Copy the file."""
    with looking(args.file, terminal.clock) as desk, Progress(terminal, "backup") as progress:
        copied = desk.backup.copy(args.copy, progress.update_of, overwrite=args.force)
    if args.json:
        say_json(terminal, {"copy": args.copy, "bytes": copied.size})
    else:
        terminal.say(f"{args.copy}: {size(copied.size)}, checked")
    return DONE


def run_restore(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lift the mark of a backup."""
    with changing(args.file, terminal.clock) as desk:
        mark = desk.backup.mark()
        left = desk.backup.restore()
    over: dict[str, int] = {state: left.get(state, 0) for state in (State.FAILED, State.CANCELLED)}
    again = sum(left.values()) - sum(over.values())
    if args.json:
        say_json(terminal, {"of": mark and mark.of, "given_back": again, **over})
    else:
        terminal.say(f"{args.file} was {mark}, and is a queue of its own now")
        if left:
            counts = [
                (again, "will run again"),
                *((count, f"is now {state}") for state, count in over.items()),
            ]
            said = ", ".join(f"{count:,} {what}" for count, what in counts if count)
            terminal.say(f"{number(sum(left.values()), 'job')} ran when it was made: {said}")
    return DONE
