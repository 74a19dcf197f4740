"""The schedules of a file, as a program holds them: add, pause, resume, remove, run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack

from .clock import Clock, to_datetime
from .errors import InvalidOption
from .handle import Job
from .options import text_name, whole
from .tasks import Call, Task
from .timing import NewSchedule, ScheduleInfo, Timing, TimingOptions, timing_of, upcoming

if TYPE_CHECKING:
    from .queue import Queue


class Schedule:
    """One schedule as it was when it was read."""

    def __init__(self, info: ScheduleInfo, clock: Clock) -> None:
        self.info = info
        self._clock = clock

    @property
    def name(self) -> str:
        """Its name."""
        return self.info.name

    @property
    def task(self) -> str:
        """The name of the task that it enqueues."""
        return self.info.task

    @property
    def timing(self) -> Timing:
        """When it fires."""
        return self.info.timing

    @property
    def next_at(self) -> datetime | None:
        """The firing that is next; None while it is paused or lost."""
        return None if self.paused or self.lost else _moment(self.info.next_at)

    @property
    def last_at(self) -> datetime | None:
        """The instant of the firing that was last."""
        return _moment(self.info.last_at)

    @property
    def last_job(self) -> int | None:
        """The id of the job that it made last."""
        return self.info.last_job

    @property
    def paused(self) -> bool:
        """Whether somebody paused it."""
        return self.info.paused_at is not None

    @property
    def lost(self) -> bool:
        """Whether the task that declared it declares it no more; then it does not fire."""
        return self.info.lost_at is not None

    def upcoming(self, count: int = 5) -> list[datetime]:
        """Its next firings, in UTC."""
        return upcoming(self.timing, self._clock.now(), whole(count, "count", 1, 10_000))

    def __repr__(self) -> str:
        rule = self.timing.cron or f"every {(self.timing.every or 0) / 1e6:g} s"
        return f"<Schedule {self.name!r}: {self.task} {rule}>"


class Schedules:
    """The schedules of a queue's file."""

    def __init__(self, queue: Queue, template: Callable[[Call[Any]], tuple[str, str | bytes]]) -> None:
        self._queue = queue
        self._template = template

    def add(self, name: str, call: Call[Any] | Task[..., Any], **timing: Unpack[TimingOptions]) -> Schedule:
        """Enqueue a call again and again; a schedule of the same name is changed.

        `cron="0 3 * * *"` with `timezone="Europe/Berlin"`, or `every=` seconds. `catch_up` says what becomes
        of firings that were missed while no worker was alive: "last" makes one job, "all" up to a thousand,
        "none" nothing. Each job comes later by up to `jitter` seconds; with `overlap=False` none is made
        while the one before has not ended. Raises `InvalidSchedule` for a time that never comes.
        """
        text_name(name, "the schedule's name")
        self._queue.desk.schedules.put([self._new(name, call, timing_of(timing))])
        return self.get(name)

    def declare(self, tasks: Iterable[Task[..., Any]]) -> list[str]:
        """Store the schedules that tasks declare, each for its own queue; the names of those now lost.

        Tasks of queues on another file are left to a worker there. Lost are schedules of these tasks, and of
        modules that are loaded, which no queue on this file declares any more. Workers do it when they start.
        """
        known = self._on_this_file(tasks)
        rooms = self._queue.desk.schedules
        new = [_declared(task) for task in known if task.timing is not None]
        stored = {info.name: info for info in rooms.all()} if known else {}
        if any(_differs(each, stored.get(each.name)) for each in new):
            rooms.put(new)
        declared = {each.name for each in new}
        gone = self._gone(known, [i for i in stored.values() if i.declared and i.name not in declared])
        return rooms.lose(gone) if gone else []

    def get(self, name: str) -> Schedule:
        """The schedule of this name. Raises `ScheduleNotFound`."""
        return Schedule(self._queue.desk.schedules.one(name), self._queue.clock)

    def pause(self, name: str) -> None:
        """Let it make no jobs until it is resumed."""
        self._queue.desk.schedules.pause(name)

    def resume(self, name: str) -> None:
        """Let it make jobs again, from its next firing on."""
        self._queue.desk.schedules.resume(name)

    def remove(self, name: str) -> None:
        """Remove it; its jobs stay. One that a task declares comes back with the next worker."""
        self._queue.desk.schedules.remove(name)

    def run(self, name: str) -> Job[Any]:
        """Make a job of it here and now."""
        desk = self._queue.desk
        return Job(desk, desk.schedules.run(name))

    def __iter__(self) -> Iterator[Schedule]:
        return iter([Schedule(info, self._queue.clock) for info in self._queue.desk.schedules.all()])

    def _on_this_file(self, tasks: Iterable[Task[..., Any]]) -> list[Task[..., Any]]:
        return [task for task in tasks if task.producer.place == self._queue.place]

    def _gone(self, known: list[Task[..., Any]], doubtful: list[ScheduleInfo]) -> list[str]:
        """Of these schedules those that are declared no more, as far as it can be told from these tasks.

        Other queues may declare what these tasks do not, so all that their modules hold are asked.
        """
        if not doubtful:
            return []
        from .resolve import modules_of, tasks_of  # which brings the importer along

        modules = modules_of(known)
        held = self._on_this_file(task for module in modules.values() for task in tasks_of(module))
        siblings = [task for each in known for task in each.producer.declared.values()]
        all_known = [*known, *held, *siblings]
        names = {task.name for task in all_known}
        fires = {task.name for task in all_known if task.timing is not None}
        return [
            info.name
            for info in doubtful
            if info.name not in fires and (info.task in names or info.task.partition(":")[0] in modules)
        ]

    def _new(
        self, name: str, call: Call[Any] | Task[..., Any], timing: Timing | None, *, declared: bool = False
    ) -> NewSchedule:
        asked = Call(call, (), {}) if isinstance(call, Task) else call
        if timing is None or not isinstance(asked, Call):
            raise InvalidOption(f"{call!r:.80} can not be scheduled; give a call: task.call(…)")
        job, payload = self._template(asked)
        return NewSchedule(name, asked.task.name, timing, job, payload, declared)


def _declared(task: Task[..., Any]) -> NewSchedule:
    """The schedule of a task, whose jobs are those of the queue that declares it."""
    return task.producer.schedules._new(task.name, task, task.timing, declared=True)


def _differs(new: NewSchedule, stored: ScheduleInfo | None) -> bool:
    if stored is None or stored.lost_at is not None:
        return True
    return new != NewSchedule(
        stored.name, stored.task, stored.timing, stored.job, stored.payload, stored.declared
    )


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else to_datetime(micros)
