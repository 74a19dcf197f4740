"""The queue: what a program holds to enqueue jobs, read them back, and run them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from .casting import Caster, each_node
from .clock import Clock, SystemClock
from .codec import JSON, NO_TYPES, Codec, checked_codec
from .declaring import Declarations
from .desk import Desk
from .doors import Background, Doors
from .errors import InvalidOption, LiteQueueError, QueueClosed, shown
from .handle import Job, JobGroup
from .job import NewJobs, WorkerInfo
from .options import (
    NO_OPTIONS,
    CallOptions,
    Duration,
    explicit,
    lease_time,
    path_text,
    text_name,
    whole,
)
from .retention import WEEK, RetentionOption, checked_retention
from .schedules import Schedules
from .storage.database import MEMORY, Database
from .storage.gate import Durability
from .storage.transactions import afterwards, lent, require_tables
from .tags import Types
from .tasks import (
    Call,
    Named,
    Task,
    job_filter,
)
from .workflow import Chain, Node

if TYPE_CHECKING:
    from .messages import Lane

P = ParamSpec("P")
R = TypeVar("R")
PAYLOAD_LIMIT = 1 << 20
_GIVEN = ("durability", "lease", "retention", "maxsize", "codec", "clock", "max_payload")


class Queue(Declarations, Doors):
    """A named lane of jobs in one SQLite file, made on first use.

    `durability="full"` syncs every enqueue and settlement to the disk, `"normal"` may lose the newest at a
    power cut. `lease` and `retention` are seconds or `timedelta`s: how long a hung worker keeps its jobs, and
    how long final jobs stay (None: for ever; a `Retention` says it by how they ended). `maxsize` bounds the
    waiting jobs (0: no bound, else `QueueFull`), `max_payload` encoded arguments and results, in bytes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str = "default",
        *,
        durability: Literal["full", "normal"] = "full",
        lease: Duration = 30,
        retention: RetentionOption = WEEK,
        maxsize: int = 0,
        codec: Codec = JSON,
        clock: Clock | None = None,
        max_payload: int = PAYLOAD_LIMIT,
    ) -> None:
        self._given = (durability, lease, retention, maxsize, codec, clock, max_payload)
        if durability not in ("full", "normal"):
            raise InvalidOption(f"durability is {shown(durability)}; give 'full' or 'normal'")
        given = path_text(path)
        self.path = given if given == MEMORY else os.path.abspath(given)
        self.name = text_name(name, "the queue's name")
        self.codec = checked_codec(codec)
        self.clock = clock or SystemClock()
        self.lease = lease_time(lease)
        self.retention = checked_retention(retention)
        self.maxsize = whole(maxsize, "maxsize", 0, 2**62)
        self.max_payload = whole(max_payload, "max_payload", 1, 1 << 30)
        super().__init__()
        self.caster = Caster(self, self._plain)
        self._durability = Durability(durability)
        self._rng: Random | None = None
        self._opened: Desk | None = None
        self._opening = threading.RLock()  # a signal's handler may open it, too
        self._closed = False
        self.lanes: dict[str, Lane] = {}
        self.behind: set[Background] = set()  # those that work in the background

    # --- enqueue -----------------------------------------------------------------------------------

    @overload
    def enqueue(
        self,
        task: Task[..., R],
        /,
        *,
        args: Iterable[Any],
        kwargs: Mapping[str, Any] = ...,
        **options: Unpack[CallOptions],
    ) -> Job[R]: ...
    @overload
    def enqueue(
        self,
        task: Task[..., R],
        /,
        *,
        kwargs: Mapping[str, Any],
        **options: Unpack[CallOptions],
    ) -> Job[R]: ...
    @overload
    def enqueue(
        self,
        task: Callable[..., Any] | str,
        /,
        *,
        args: Iterable[Any],
        kwargs: Mapping[str, Any] = ...,
        **options: Unpack[CallOptions],
    ) -> Job[Any]: ...
    @overload
    def enqueue(
        self,
        task: Callable[..., Any] | str,
        /,
        *,
        kwargs: Mapping[str, Any],
        **options: Unpack[CallOptions],
    ) -> Job[Any]: ...
    @overload
    def enqueue(self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def enqueue(
        self, task: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Job[R]: ...
    @overload
    def enqueue(self, task: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def enqueue(self, task: str, /, *args: Any, **kwargs: Any) -> Job[Any]: ...
    def enqueue(self, task: Any, /, *args: Any, **kwargs: Any) -> Job[Any]:
        """Store a job: a task, a plain function of a module, or a name such as `"app:fetch"`.

        `enqueue(f, 1, x=2)` passes the arguments on; with `args=` or `kwargs=` given, the other keywords are
        options: `enqueue(f, args=(1,), priority=5)`.
        """
        options = NO_OPTIONS
        if "args" in kwargs or "kwargs" in kwargs:
            if args:
                raise InvalidOption("arguments are given both by place and as args=; choose one form")
            args, kwargs, options = explicit(kwargs)
        chosen = self.task_for(task)
        chosen.check(args, kwargs)
        return self.submit(Call(chosen, args, kwargs, options))

    def enqueue_many(self, calls: Iterable[Call[R] | Chain[R]]) -> list[Job[R]]:
        """Store many calls, or graphs of them, in one transaction, all or none; their jobs in order."""
        return self._store_all(each_node(calls))

    def submit(self, call: Call[R]) -> Job[R]:
        """Store one checked call; `enqueue` in all its forms ends here."""
        mold = self.caster.mold(call)
        if mold.flow is not None or self.hooks.prepares:
            job: Job[R] = self.submit_node(call)
            return job
        return self._store([self.caster.cast(mold, call)], mold.connection)[0]

    def submit_node(self, node: Node) -> Any:
        """Store a whole graph of calls in one transaction; the job of its end, or the group of them."""
        return self._store_all([node])[0]

    def _store_all(self, nodes: Iterable[object]) -> list[Any]:
        jobs, connection, ends = self.caster.cast_all(nodes)
        if ends is None:
            return self._store(jobs, connection)
        desk = self.desk_for(connection)
        stored = desk.store.enqueue_flow(jobs, connection, bound=self.maxsize)
        made: list[Job[Any]] = [Job(desk, each.id, created=each.created) for each in stored]
        self._tell([job for job in made if job.created], connection)
        groups = [[made[place] for place in end.given] for end in ends]
        return [JobGroup(group) if end.is_list else group[0] for end, group in zip(ends, groups, strict=True)]

    def _store(self, batches: Sequence[NewJobs], connection: Connection | None) -> list[Job[Any]]:
        desk = self.desk_for(connection)
        ids = desk.store.enqueue(batches, connection, bound=self.maxsize)
        made: list[Job[Any]] = [Job(desk, id) for id in ids]  # Job[Any](…) would take 1.5 us more for each
        self._tell(made, connection)
        return made

    def _tell(self, made: list[Job[Any]], connection: Connection | None) -> None:
        """Tell the hooks of new jobs, once they are committed; of your own connection nobody knows when."""
        if self.hooks.of("enqueued") and connection is None:
            afterwards(self.desk.database, lambda: self.hooks.tell("enqueued", made))

    # --- jobs --------------------------------------------------------------------------------------

    def job(self, id: int) -> Job[Any]:
        """The job with this id. Raises `JobNotFound`."""
        return Job(self.desk, whole(id, "the job's id", 1, 2**63 - 1)).refresh()

    def jobs(
        self,
        *,
        state: str | None = None,
        task: Named | None = None,
        queue: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        after: int | Job[Any] | None = None,
    ) -> list[Job[Any]]:
        """Jobs of this queue that match, newest first; `after` is the last one of the page before."""
        chosen = job_filter(self.name if queue is None else queue, state, task, tag)
        last = after.id if isinstance(after, Job) else after
        if last is not None:
            whole(last, "after", 0, 2**63 - 1)
        most = whole(limit, "limit", 1, 1_000_000)
        desk = self.desk
        found = desk.reports.jobs(chosen, most, last)
        return [Job(desk, snapshot.id, snapshot) for snapshot in found]

    def counts(self) -> dict[str, int]:
        """How many jobs of this queue are in each state."""
        return {state.value: number for state, number in self.desk.reports.counts(self.name).items()}

    def cancel(self, *, state: str | None = None, task: Named | None = None, tag: str | None = None) -> int:
        """Cancel the jobs of this queue that match and are not final; how many."""
        return self.desk.store.cancel_all(job_filter(self.name, state, task, tag))

    def retry(
        self, *, state: str = "failed", task: Named | None = None, tag: str | None = None, fresh: bool = False
    ) -> int:
        """Run the failed (or cancelled) jobs of this queue that match again; how many."""
        return self.desk.store.retry_all(job_filter(self.name, state, task, tag), fresh=fresh)

    def delete(self, *, state: str | None = None, task: Named | None = None, tag: str | None = None) -> int:
        """Delete the jobs of this queue that match and are not running; how many."""
        return self.desk.store.delete_all(job_filter(self.name, state, task, tag))

    def pause(self) -> None:
        """Let no worker claim from this queue; what runs goes on."""
        self.desk.store.pause(self.name)

    def resume(self) -> None:
        """Let workers claim from this queue again."""
        self.desk.store.resume(self.name)

    # --- running -----------------------------------------------------------------------------------

    def workers(self) -> list[WorkerInfo]:
        """The workers that are alive on this file."""
        return self.desk.workers.alive()

    @property
    def schedules(self) -> Schedules:
        """The schedules of this file."""
        return Schedules(self, self.caster.template)

    # --- the file ----------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside BEGIN IMMEDIATE on the same file; enqueues of this thread meanwhile join it."""
        desk = self.desk
        with lent(desk.database) as connection:
            yield connection
        desk.store.hint([self.name])

    def backup(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Copy what is committed to another file, which no worker runs before `litequeue restore`."""
        self.desk.backup.copy(os.fspath(path), overwrite=overwrite)

    @property
    def place(self) -> object:
        """Where its jobs lie: the same for all queues on one file, or on one database in memory."""
        if self.path != MEMORY:
            return os.path.realpath(self.path)
        return self if self._opened is None else self._opened.database

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is inside `transaction()` of this queue."""
        return self._opened is not None and self._opened.database.joined() is not None

    def close(self) -> None:
        """Close the file, after the workers that this queue has in the background, which stop as at a signal.

        Jobs of this queue can not be read through it any more.
        """
        lanes = list(self.lanes.values())
        with ExitStack() as last_first:  # each of them, whatever another raises
            for lane in lanes:
                last_first.callback(lane.call_all)  # once more: whoever waits there finds the file closed now
            last_first.callback(self._close_file)
            for lane in lanes:
                last_first.callback(lane.close)
            for worker in self._workers_to_end():
                last_first.callback(worker.end_first)

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Queue {self.name!r} in {self.path}>"

    def __reduce__(self) -> tuple[Callable[..., Queue], tuple[object, ...]]:
        if self.path == MEMORY:
            raise InvalidOption("a queue in memory can not be sent to another process; give it a file")
        return _opened_anew, (self.path, self.name, *self._given)

    @property
    def desk(self) -> Desk:
        """The opened file, seen through its rooms; opens it on first use."""
        if self._opened is None:
            with self._opening:
                if self._closed:
                    raise QueueClosed(f"{self.path}: this queue was closed; open another one")
                if self._opened is None:
                    self._opened = self._desk_on(Database(self.path, self._durability))
        return self._opened

    def desk_for(self, connection: Connection | None) -> Desk:
        """`desk`, which the open transaction of this connection may keep from being opened.

        Raises `InvalidOption` then.
        """
        if connection is not None and self._opened is None:
            require_tables(connection, self.path)
        return self.desk

    def _desk_on(self, database: Database) -> Desk:
        return Desk(database, self.clock, self.codec, self._types_of, self._rng)

    def _workers_to_end(self) -> list[Background]:
        """Those in the background, unless this thread holds the file, which they need in order to end."""
        if self._opened is None:
            return []
        try:
            self._opened.database.require_free()
        except LiteQueueError:
            return []  # it is closed, or says so again when it is to be
        return list(self.behind)

    def _close_file(self) -> None:
        with self._opening:
            self._closed = True
            if self._opened is not None:
                self._opened.database.close()

    @contextmanager
    def lying_in(self, database: Database, clock: Clock, rng: Random | None) -> Iterator[None]:
        """Within the block, use this file, clock and chance instead of its own: for `litequeue.testing`."""
        own = self.path, self.clock, self._rng, self._closed, self._opened, self.lanes, self.behind
        with self._opening:
            self.path, self.clock, self._rng, self._closed = database.path, clock, rng, False
            self._opened, self.lanes, self.behind = self._desk_on(database), {}, set()
        try:
            yield
        finally:
            with self._opening:
                self.path, self.clock, self._rng, self._closed, self._opened, self.lanes, self.behind = own

    def _types_of(self, task: str) -> Types:
        known = self.declared.get(task) or self._plain.get(task)
        return NO_TYPES if known is None else known.types


def _opened_anew(path: str, name: str, *given: Any) -> Queue:
    """A queue that was sent to this process; its tasks are where their module declares them."""
    return Queue(path, name, **dict(zip(_GIVEN, given, strict=True)))
