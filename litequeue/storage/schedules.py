"""Schedules in the file: declared, paused, and fired by whichever worker is first.

A firing moves the schedule on and stores its job in one transaction that names the firing it saw, so of any
number of workers one makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from ..clock import Clock
from ..errors import InvalidOption, ScheduleNotFound
from ..job import FINAL, NewJobs
from ..timing import NewSchedule, ScheduleInfo, Timing, job_of
from . import flow
from .database import Database
from .gate import Durability
from .rows import TEXT_OR_NONE, WHOLE, WHOLE_OR_NONE, sound

AT_ONCE = 100
_TABLE = "litequeue_schedule"
_NEXT = (WHOLE_OR_NONE,)
_ROW = (
    *(str, str, TEXT_OR_NONE, WHOLE_OR_NONE, str, str, WHOLE, WHOLE, str, object, WHOLE, WHOLE),
    *(WHOLE_OR_NONE, WHOLE_OR_NONE, WHOLE_OR_NONE, WHOLE_OR_NONE, WHOLE_OR_NONE),
)
_COLUMNS = """name, task, cron, every, timezone, catch_up, jitter, overlap, job, payload, declared,
  created_at,
  next_at, last_at, last_job, paused_at, lost_at"""
ALL = f"SELECT {_COLUMNS} FROM litequeue_schedule ORDER BY name"
ONE = f"SELECT {_COLUMNS} FROM litequeue_schedule WHERE name = ?"
DUE = f"""
SELECT {_COLUMNS} FROM litequeue_schedule
WHERE next_at <= ? AND next_at IS NOT NULL AND paused_at IS NULL AND lost_at IS NULL ORDER BY next_at LIMIT ?
"""
NEXT_FIRING = """
SELECT min(next_at) FROM litequeue_schedule
WHERE next_at IS NOT NULL AND paused_at IS NULL AND lost_at IS NULL
"""
PUT = """
INSERT INTO litequeue_schedule (name, task, cron, every, timezone, catch_up, jitter, overlap, job, payload,
                                declared, created_at, next_at)
VALUES (:name, :task, :cron, :every, :timezone, :catch_up, :jitter, :overlap, :job, :payload,
        :declared, :now, :next)
ON CONFLICT (name) DO UPDATE SET task = :task, cron = :cron, every = :every, timezone = :timezone,
  catch_up = :catch_up, jitter = :jitter, overlap = :overlap, job = :job, payload = :payload,
  declared = :declared, next_at = :next, lost_at = NULL
"""
MOVE = """
UPDATE litequeue_schedule SET next_at = ?, last_at = ?
WHERE name = ? AND next_at = ? AND paused_at IS NULL AND lost_at IS NULL
"""
IS_MADE = "SELECT 1 FROM litequeue_job WHERE schedule = ? AND scheduled_for = ?"
MADE = "UPDATE litequeue_schedule SET last_job = ? WHERE name = ?"
STATE_OF = "SELECT state FROM litequeue_job WHERE id = ?"
PAUSE = "UPDATE litequeue_schedule SET paused_at = ? WHERE name = ?"
RESUME = "UPDATE litequeue_schedule SET paused_at = NULL, next_at = ? WHERE name = ?"
REMOVE = "DELETE FROM litequeue_schedule WHERE name = ?"
LOSE = "UPDATE litequeue_schedule SET lost_at = ? WHERE name = ? AND declared = 1 AND lost_at IS NULL"


Firings = dict[int, NewJobs]


class Fired(NamedTuple):
    """What became of a schedule that was due: the jobs it made, or why it made none."""

    schedule: str
    jobs: tuple[int, ...]
    trouble: str = ""


class Schedules:
    """The verbs about schedules: put, pause, resume, remove, fire."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def put(self, schedules: Sequence[NewSchedule]) -> None:
        """Store schedules, or change those of the same names; the next firing stays if the timing does."""
        now = self.clock.now()

        def operation(connection: Connection) -> None:
            for each in schedules:
                _put(connection, each, now)

        self.database.write(operation, Durability.FULL)

    def lose(self, names: Iterable[str]) -> list[str]:
        """Note of declared schedules that no task declares them any more; those of which that is new."""
        now = self.clock.now()

        def operation(connection: Connection) -> list[str]:
            return [name for name in names if connection.execute(LOSE, (now, name)).rowcount]

        return self.database.write(operation, Durability.FULL)

    def all(self) -> list[ScheduleInfo]:
        """All schedules, by name."""
        return self.database.read(lambda c: [_info(row) for row in c.execute(ALL).fetchall()])

    def one(self, name: str) -> ScheduleInfo:
        """The schedule of this name. Raises `ScheduleNotFound`."""
        found = self.database.read(lambda c: [_info(row) for row in c.execute(ONE, (name,)).fetchall()])
        if not found:
            raise ScheduleNotFound(f"{self.database.path}: there is no schedule {name!r}")
        return found[0]

    def pause(self, name: str) -> None:
        """Let a schedule make no jobs."""
        self.one(name)
        now = self.clock.now()
        self.database.write(lambda c: c.execute(PAUSE, (now, name)).rowcount, Durability.FULL)

    def resume(self, name: str) -> None:
        """Let it make jobs again, from its next firing on; what the pause left out is not caught up."""
        next_at = self.one(name).timing.after(self.clock.now())
        self.database.write(lambda c: c.execute(RESUME, (next_at, name)).rowcount, Durability.FULL)
        self.database.hints.send([])

    def remove(self, name: str) -> None:
        """Remove a schedule; its jobs stay."""
        self.one(name)
        self.database.write(lambda c: c.execute(REMOVE, (name,)).rowcount, Durability.FULL)

    def run(self, name: str) -> int:
        """Make a job of the schedule here and now, whatever its timing; its id."""
        found = self.one(name)
        now = self.clock.now()
        batch = job_of(found, None)

        def operation(connection: Connection) -> int:
            (stored,) = flow.insert(connection, [batch], now)
            connection.execute(MADE, (stored.id, name))
            return stored.id

        id = self.database.write(operation, Durability.FULL)
        self.database.hints.send([batch.queue])
        return id

    def next_firing(self) -> int | None:
        """When the next schedule is due."""
        found: int | None = self.database.read(
            lambda c: sound(c.execute(NEXT_FIRING).fetchone(), _NEXT, _TABLE)[0]
        )
        return found

    def fire(self) -> list[Fired]:
        """Make the jobs of all schedules that are due."""
        now = self.clock.now()
        due = self.database.read(lambda c: [_info(row) for row in c.execute(DUE, (now, AT_ONCE)).fetchall()])
        return [self._fire(schedule, now) for schedule in due]

    def _fire(self, schedule: ScheduleInfo, now: int) -> Fired:
        first = now if schedule.next_at is None else schedule.next_at
        try:
            firings = {at: job_of(schedule, at) for at in schedule.timing.due(max(first, 0), now)}
            next_at = schedule.timing.after(now)
        except InvalidOption as error:
            self.pause(schedule.name)
            return Fired(schedule.name, (), f"it was paused, for it can not be read: {error}")

        def operation(connection: Connection) -> Fired:
            moved = connection.execute(MOVE, (next_at, max(firings, default=first), schedule.name, first))
            if moved.rowcount != 1:
                return Fired(schedule.name, ())  # another worker was quicker, or somebody paused it
            return _make(connection, schedule, firings, now)

        fired = self.database.write(operation, Durability.FULL)
        self.database.hints.send({batch.queue for batch in firings.values()} if fired.jobs else [])
        return fired


def _make(connection: Connection, schedule: ScheduleInfo, firings: Firings, now: int) -> Fired:
    """Store the jobs of these firings, but for those that would run beside the one before."""
    if not firings:
        return Fired(schedule.name, (), "its firing was missed, and it does not catch up")
    batches = [batch for at, batch in firings.items() if not _is_made(connection, schedule, at)]
    if not batches:
        return Fired(schedule.name, ())
    if not schedule.timing.overlap:
        row = connection.execute(STATE_OF, (schedule.last_job,)).fetchone()
        if row is not None and row[0] not in FINAL:
            return Fired(schedule.name, (), f"job {schedule.last_job}, the one before, has not ended")
        batches = batches[-1:]
    stored = flow.insert(connection, [_with_nobody_to_tell(batch) for batch in batches], now)
    connection.execute(MADE, (stored[-1].id, schedule.name))
    held = [job.id for job in stored if not job.created]
    trouble = f"job {held[0]} has its unique key" if held and _must_be_free(batches[0]) else ""
    return Fired(schedule.name, tuple(job.id for job in stored if job.created), trouble)


def _must_be_free(batch: NewJobs) -> bool:
    return batch.flow is not None and batch.flow.on_duplicate == "raise"


def _with_nobody_to_tell(batch: NewJobs) -> NewJobs:
    """The job of a firing with a key that must be free: an error would only hold up what is due after it."""
    if batch.flow is None or not _must_be_free(batch):
        return batch
    return batch._replace(flow=batch.flow._replace(on_duplicate="return"))


def _is_made(connection: Connection, schedule: ScheduleInfo, at: int) -> bool:
    """Whether this firing has its job: the clock was set back, or whoever resumed had looked at it before."""
    return connection.execute(IS_MADE, (schedule.name, at)).fetchone() is not None


def _put(connection: Connection, new: NewSchedule, now: int) -> None:
    timing = new.timing
    row = connection.execute(ONE, (new.name,)).fetchone()
    before = None if row is None else _info(row)
    next_at = timing.after(now)
    if before is not None and before.lost_at is None:
        same = ("cron", "every", "timezone")
        if all(getattr(before.timing, name) == getattr(timing, name) for name in same):
            next_at = before.next_at
    values = {
        **{name: getattr(timing, name) for name in Timing.__dataclass_fields__},
        **new._asdict(),
        "now": now,
        "next": next_at,
    }
    del values["timing"]
    connection.execute(PUT, values)


def _info(row: tuple[Any, ...]) -> ScheduleInfo:
    sound(row, _ROW, _TABLE)
    name, task, cron, every, timezone, catch_up, jitter, overlap, job, payload, declared, *rest = row
    timing = Timing(cron, every, timezone, catch_up, jitter, bool(overlap))
    return ScheduleInfo(name, task, timing, job, payload, bool(declared), *rest)
