"""Calls become jobs; what all jobs of a task have in common is prepared once."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from .codec import byte_size, call_writer
from .errors import InvalidOption, PayloadTooLarge
from .job import NewJobs
from .mold import Mold, make_mold
from .options import NO_OPTIONS, Options
from .tasks import Call, Task, make_task

if TYPE_CHECKING:
    from .queue import Queue

Payload = str | bytes


class Caster:
    """Casts the calls of one queue. Tasks that others declared are noted in `plain`: they may run here."""

    def __init__(self, queue: Queue, plain: dict[str, Task[..., Any]]) -> None:
        self._queue = queue
        self._plain = plain
        self._write = call_writer(queue.codec)

    def cast(self, call: Call[Any]) -> tuple[NewJobs, Connection | None]:
        """The job to store, and the connection that the call names."""
        mold = self._mold(call)
        return mold.cast((self._payload(call),), self._queue.clock.now()), mold.connection

    def cast_all(self, calls: Iterable[Call[Any]]) -> tuple[list[NewJobs], Connection | None]:
        """The jobs to store, in batches of those that follow each other and are alike."""
        # By identity, and kept with what has it: calls may be made one by one, and their ids be used again.
        molds: dict[tuple[int, int], tuple[Mold, Task[..., Any], Options]] = {}
        batches: list[tuple[Mold, list[Payload]]] = []
        task = options = None
        for call in calls:
            if call.task is not task or call.options is not options:
                task, options = call.task, call.options
                key = (id(task), id(options))
                if key not in molds:
                    molds[key] = self._mold(call), task, options
                mold = molds[key][0]
                payloads: list[Payload] = []
                batches.append((mold, payloads))
            payloads.append(self._payload(call))
        now = self._queue.clock.now()  # only here: to make the calls may have taken a while
        jobs = [mold.cast(payloads, now) for mold, payloads in batches]
        return jobs, _one_connection(mold for mold, _ in batches)

    def _mold(self, call: Call[Any]) -> Mold:
        """What all jobs of a task with these options have in common."""
        task, queue = call.task, self._queue
        if call.options is NO_OPTIONS and task.mold is not None and task.mold[0] is queue:
            return task.mold[1]  # type: ignore[no-any-return]
        declared = task.producer.declared.get(task.name)
        if declared is not None and task.producer is not queue:  # enqueued here, so it may run here too
            self._plain[task.name] = make_task(declared.function, task.name, queue, declared.options)
        mold = make_mold(
            call.options.over(task.options),
            NO_OPTIONS if declared is None else declared.options,
            task=task.name,
            queue=queue.name,
            codec=queue.codec.name,
            retention=queue.retention,
        )
        if call.options is NO_OPTIONS:
            task.mold = queue, mold
        return mold

    def _payload(self, call: Call[Any]) -> Payload:
        payload = self._write(call.args, call.kwargs, call.task.types)
        limit = self._queue.max_payload
        if 4 * len(payload) > limit and byte_size(payload) > limit:
            raise PayloadTooLarge(
                f"the arguments of {call.task.name} take {byte_size(payload):,} bytes, over the limit of "
                f"{limit:,}; store the data in a file and pass its path, or open Queue(…, max_payload=…)"
            )
        return payload


def _one_connection(molds: Iterable[Mold]) -> Connection | None:
    connections = list({id(mold.connection): mold.connection for mold in molds}.values())
    if len(connections) > 1:
        raise InvalidOption("the calls name different connections; one transaction has only one")
    return connections[0] if connections else None
