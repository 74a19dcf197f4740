"""Calls become jobs; what all jobs of a task have in common is prepared once."""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from .codec import Codec, byte_size, call_writer
from .context import current_job
from .errors import InvalidOption, InvalidTask, PayloadTooLarge, shown
from .graphs import Caller, Payload, keyed
from .job import Flow, NewJobs
from .mold import Mold, make_mold
from .options import NO_OPTIONS, UNSET, Options
from .tasks import Call, Producer, Task
from .timing import names_one_instant, template
from .workflow import Ends, Node, as_node, mapped

if TYPE_CHECKING:
    from .queue import Queue


class Cast(NamedTuple):
    """Jobs to store, the connection that their calls name, and where the ends of each graph stand.

    No ends mean that there is none: each payload is a job that waits for nothing.
    """

    jobs: list[NewJobs]
    connection: Connection | None
    ends: list[Ends] | None = None


class Caster:
    """Casts the calls of one queue. Tasks that others declared are noted in `plain`: they may run here."""

    def __init__(self, queue: Queue, plain: dict[str, Task[..., Any]]) -> None:
        self._queue = queue
        self._plain = plain
        self._write = call_writer(queue.codec)

    def cast(self, mold: Mold, call: Call[Any]) -> NewJobs:
        """The job of a call that waits for nothing."""
        return mold.cast((self.payload(call),), self._queue.clock.now())

    def cast_all(self, nodes: Iterable[object]) -> Cast:
        """The jobs of all calls and graphs; calls that follow each other and are alike in one batch."""
        # By identity, and kept with what has it: calls may be made one by one, and their ids be used again.
        molds: dict[tuple[int, int], tuple[Mold, Task[..., Any], Options]] = {}
        batches: list[tuple[Mold, list[Payload]] | Node] = []
        task = options = None
        for call in map(self.prepared, nodes) if self._queue.hooks.prepares else nodes:
            if type(call) is not Call:
                batches.append(as_node(call))
                task = None
                continue
            if call.task is not task or call.options is not options:
                task, options = call.task, call.options
                key = (id(task), id(options))
                if key not in molds:
                    molds[key] = self.mold(call), task, options
                mold = molds[key][0]
                payloads: list[Payload] = []
                if mold.flow is None:
                    batches.append((mold, payloads))
            if mold.flow is None:
                payloads.append(self.payload(call))
            else:
                batches.append(call)
        return self._finish(batches)

    def _finish(self, batches: list[tuple[Mold, list[Payload]] | Node]) -> Cast:
        now = self._queue.clock.now()  # not before: to make calls may take a while
        caller = Caller(self, now)
        for batch in batches:
            if type(batch) is tuple:
                caller.add_batch(*batch)
            else:
                caller.add_node(batch)  # type: ignore[arg-type]
        return Cast(caller.jobs, _one_connection(caller.connections), caller.ends)

    def template(self, call: Call[Any]) -> tuple[str, Payload]:
        """What each job of a schedule is made of, and its payload."""
        mold = self._mold(call)
        call.task.check(call.args, call.kwargs)
        flow = mold.flow
        if mold.connection is not None or (flow and (flow.after or flow.on_success or flow.on_failure)):
            raise InvalidOption(
                f"{call.task.name}: a schedule makes single jobs, without connection, after, on_success or "
                "on_failure; let its task enqueue what comes after"
            )
        if mold.run_at is not None or mold.expires_at is not None:
            raise names_one_instant(call.task.name)
        payload = self.payload(call)
        batch = mold.cast((payload,), 0)
        asked = Flow() if flow is None else keyed(call, flow, self.codec)
        return template(
            batch._replace(flow=None if asked == Flow() else asked), mold.delay, mold.expires
        ), payload

    @property
    def codec(self) -> Codec:
        """How the jobs are encoded."""
        return self._queue.codec

    @property
    def place(self) -> object:
        """Where the jobs lie."""
        return self._queue.place

    def maker_of(self, call: Call[Any], home: Producer) -> Caster:
        """Who makes a job of a call in a graph that belongs to `home`: for a task of another queue, that one.

        Raises `InvalidOption` if its jobs lie elsewhere.
        """
        theirs = call.task.producer
        if theirs is home or theirs is self._queue:
            return self
        if theirs.place != self._queue.place:
            raise InvalidOption(
                f"{call.task.name} belongs to {theirs}, and its graph is stored in {self._queue.path}; "
                "one graph lies in one file: let a task enqueue what belongs to another"
            )
        if call.task.name in theirs.declared:  # enqueued here, so it may run here too
            self._plain[call.task.name] = theirs.declared[call.task.name]
        return theirs.caster

    def mold(self, call: Call[Any]) -> Mold:
        """What all jobs of a task with these options have in common; a running job passes its headers on."""
        running = current_job()
        headers = running.headers if running is not None else None
        if headers and call.options.over(call.task.options).headers is UNSET:
            call = call.using(headers=headers)
        return self._mold(call)

    def _mold(self, call: Call[Any]) -> Mold:
        task, queue = call.task, self._queue
        if call.options is NO_OPTIONS and task.mold is not None and task.mold[0] is queue:
            return task.mold[1]  # type: ignore[no-any-return]
        declared = task.producer.declared.get(task.name)
        if declared is not None and task.producer is not queue:  # enqueued here, so it may run here too
            self._plain[task.name] = declared
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

    def prepared(self, node: object) -> Node:
        """What the middleware makes of the calls of a graph."""
        return mapped(as_node(node), self._prepare) if self._queue.hooks.prepares else as_node(node)

    def _prepare(self, call: Call[Any]) -> Call[Any]:
        prepared = self._queue.hooks.prepared(call)
        if type(prepared) is Call and prepared is not call:
            prepared.task.check(prepared.args, prepared.kwargs)
        return prepared

    def payload(self, call: Call[Any]) -> Payload:
        """The encoded arguments. Raises `EncodingError`, `PayloadTooLarge`."""
        payload = self._write(call.args, call.kwargs, call.task.types)
        limit = self._queue.max_payload
        if 4 * len(payload) > limit and byte_size(payload) > limit:
            raise PayloadTooLarge(
                f"the arguments of {call.task.name} take {byte_size(payload):,} bytes, over the limit of "
                f"{limit:,}; store the data in a file and pass its path, or open Queue(…, max_payload=…)"
            )
        return payload


def each_node(nodes: object) -> Iterable[object]:
    """The calls given. Raises `InvalidTask` for a single one, or what is no list."""
    if isinstance(nodes, Call) or not isinstance(nodes, Iterable):
        raise InvalidTask(f"{shown(nodes)} is not a list of calls; give [task.call(…), …]")
    return nodes


def _one_connection(named: Iterable[Connection | None]) -> Connection | None:
    connections = list({id(each): each for each in named}.values())
    if len(connections) > 1:
        raise InvalidOption("the calls name different connections; one transaction has only one")
    return connections[0] if connections else None
