"""A look at everything that may be wrong with a file, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from .clock import SECOND
from .desk import Desk
from .health import BACKUP, LOG, LONG_LOG, Alarm, alarms, log_bytes
from .names import is_lane
from .storage.examination import Facts
from .storage.repairs import REPAIRS

_DAY = 86_400 * SECOND
_AHEAD = 60 * SECOND  # by how much clocks may differ, or be set back
_LITTLE_DISK = 256 << 20
_MUCH_FREE = 64 << 20
REPAIRABLE = {one.name for one in REPAIRS} | {"owner", "owner exists", "end", "reason", "stopping"}
_ADVICE = {
    "no worker": "start one: `litequeue worker FILE --queues QUEUE`",
    "overdue": "start more workers, or look at what they run: `litequeue workers FILE`",
    "unknown task": "start a worker where that code is, or with --app MODULE; `explain` one of the jobs",
    "dead worker": "any worker returns its jobs within a second; or --repair",
    "lost schedule": "start a worker that declares it, or remove it with `litequeue schedules`",
    "stuck schedule": "start a worker",
}


class Level(StrEnum):
    """How bad it is: nothing, something to look at, something that loses jobs or keeps them from running."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how bad it is, what was found, and what to do about it."""

    name: str
    level: Level
    text: str
    advice: str = ""


def examine(desk: Desk, *, quick: bool) -> list[Finding]:
    """Look at everything; `quick` leaves out what reads the whole file."""
    facts = desk.examination.facts()
    return [
        *([] if quick else _checks(desk)),
        *_sqlite(facts),
        *_surroundings(facts),
        *_mark(desk),
        *_clock(desk, facts),
        *_log(desk),
        *_running(desk),
        *_alarms(desk),
    ]


def _ok(name: str, text: str) -> Finding:
    return Finding(name, Level.OK, text)


def _warn(name: str, text: str, advice: str) -> Finding:
    return Finding(name, Level.WARNING, text, advice)


# --- the file ------------------------------------------------------------------------------------


def _checks(desk: Desk) -> Iterator[Finding]:
    found = desk.examination.broken()
    for one in found:
        text = f"{one.says}; but not of {', '.join(one.rows[:3])}"
        advice = "--repair" if one.name in REPAIRABLE else "restore a backup; `export` what can still be read"
        yield Finding(f"check: {one.name}", Level.ERROR, text, advice)
    if not found:
        yield _ok("checks", "SQLite finds no damage, and all that is true of a sound file is true of it")


def _sqlite(facts: Facts) -> Iterator[Finding]:
    version = f"SQLite {facts.sqlite}"
    if facts.has_reset_fault:
        text = (
            f"{version} can damage a file when checkpoints overlap; litequeue keeps its own apart, "
            "other programs that write to this file may not"
        )
        yield _ok("sqlite", text)
    else:
        yield _ok("sqlite", f"{version}, with no fault that is known to touch this file")
    if facts.journal_mode != "wal":
        text = f"its journal mode is {facts.journal_mode}"
        yield _warn("journal", text, "the next worker or enqueue sets it to WAL; do not set it otherwise")
    space = facts.space
    free = space.free * space.page_size
    text = (
        f"{space.pages * space.page_size / 1e6:,.1f} MB, of which {free / 1e6:,.1f} MB are free for new jobs"
    )
    if free > _MUCH_FREE and space.free > space.used:
        yield _warn("space", text, "`litequeue vacuum FILE`" + ("" if space.gives_back else " --full"))
    else:
        yield _ok("space", text)


def _surroundings(facts: Facts) -> Iterator[Finding]:
    yield _ok("file system", f"it lies on {facts.file_system or 'one that the system does not tell of'}")
    if facts.free_disk is not None and facts.free_disk < _LITTLE_DISK:
        text = f"{facts.free_disk / 1e6:,.0f} MB of the disk are free"
        yield _warn("disk", text, "make room; on a full disk nothing is lost, and nothing is taken in")
    for path in facts.left:
        yield _warn("left behind", f"{path} is of no use to anybody", "delete it")


def _mark(desk: Desk) -> Iterator[Finding]:
    mark = desk.backup.mark()
    if mark is not None:
        yield _warn("backup", f"this is {mark}", "no worker runs its jobs before `litequeue restore FILE`")


def _clock(desk: Desk, facts: Facts) -> Iterator[Finding]:
    now, boot = desk.clock.now(), desk.clock.boot()
    seen = [worker.seen_at for worker in desk.reports.workers() if worker.boot == boot]
    ahead = max([facts.newest or 0, *seen]) - now
    if ahead > _AHEAD:
        text = f"jobs or workers are {ahead / SECOND:,.0f} s ahead of this machine's clock: it was set back"
        yield _warn("clock", text, "set the clock; jobs that are due may wait for so long, and none is lost")
    else:
        yield _ok("clock", "no job and no worker is ahead of it")


def _log(desk: Desk) -> Iterator[Finding]:
    size = log_bytes(desk)
    text = f"the log holds {size / 1e6:,.1f} MB"
    if size <= LONG_LOG:
        yield _ok("log", text)
        return
    named = ", ".join(f"process {pid} ({command:.60})" for pid, command in desk.examination.readers())
    text += f": {named or 'some program'} reads for so long that it can not begin anew"
    yield _warn("log", text, "end that read; the log is cut when the next one begins")


# --- the jobs ------------------------------------------------------------------------------------


def _running(desk: Desk) -> Iterator[Finding]:
    for id in desk.examination.running_since(desk.clock.now() - _DAY):
        yield _warn("long run", f"job {id} runs for more than a day", "give its task a timeout, or cancel it")


def _alarms(desk: Desk) -> Iterator[Finding]:
    now = desk.clock.now()
    found = [one for one in alarms(desk, desk.overview.queues(now, now)) if one.kind != LOG]
    for one in found:
        if one.kind != BACKUP:
            yield _warn(one.kind, one.text, _advice(one))
    if not found:
        yield _ok("jobs", "every queue with ready jobs is served, every schedule fires, no worker is dead")


def _advice(alarm: Alarm) -> str:
    if alarm.kind in ("no worker", "overdue") and is_lane(alarm.about):
        return "start the program that gets these messages, or more of it; `litequeue worker` takes none"
    return _ADVICE.get(alarm.kind, "look at `litequeue info FILE`")
