"""Graphs of calls become jobs in an order in which every parent comes before its children."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any, Protocol

from .codec import Codec
from .errors import InvalidOption
from .job import Flow, NewJobs, Parent, Rule
from .keys import KeyOption, key_of
from .mold import NO_FLOW, FlowMold, Mold
from .options import Numbered, number_of
from .tasks import Call, Producer
from .workflow import Ends, Node, Plan, Step

Payload = str | bytes


class Maker(Protocol):
    """What makes jobs of the calls of one queue."""

    @property
    def place(self) -> object:
        """Where they lie."""

    @property
    def codec(self) -> Codec:
        """How they are encoded."""

    def maker_of(self, call: Call[Any], home: Producer) -> Maker:
        """The one for a call in a graph that belongs to `home`. Raises `InvalidOption`."""

    def prepared(self, node: object) -> Node:
        """The graph as the middleware would have it."""

    def mold(self, call: Call[Any]) -> Mold:
        """What all jobs of its task with these options have in common."""

    def payload(self, call: Call[Any]) -> Payload:
        """Its encoded arguments."""


class Caller:
    """Gathers the jobs of one enqueue: batches of calls that are alike, and graphs."""

    def __init__(self, maker: Maker, now: int) -> None:
        self._maker = maker
        self._now = now
        self._place = 0
        self.jobs: list[NewJobs] = []
        self.connections: list[Connection | None] = []
        self._ends: list[range | Ends] = []
        self._is_graph = False

    @property
    def ends(self) -> list[Ends] | None:
        """Where the end of each call and graph stands; None when there is no graph: each job is its own."""
        if not self._is_graph:
            return None
        pieces = (each if isinstance(each, range) else [each] for each in self._ends)
        return [Ends((end,)) if isinstance(end, int) else end for piece in pieces for end in piece]

    def add_batch(self, mold: Mold, payloads: Sequence[Payload]) -> None:
        """Add jobs that differ in nothing but their payloads, and wait for nothing."""
        self.connections.append(mold.connection)
        self.jobs.append(mold.cast(payloads, self._now))
        places = range(self._place, self._place + len(payloads))
        self._ends.append(places)  # an end for each of many jobs would cost as much as to encode it
        self._place = places.stop

    def add_node(self, node: Node) -> None:
        """Add the jobs of a graph, with what is to run when one of them completes or fails."""
        self._is_graph = True
        plan = Plan(self._place)
        named: list[Connection] = []
        self._ends.append(plan.add(node))
        for place, step in enumerate(plan.steps, self._place):  # which grows meanwhile
            maker = self._maker.maker_of(step.call, home=plan.steps[0].call.task.producer)
            mold = maker.mold(step.call)
            flow = mold.flow or NO_FLOW
            for after, outcome in ((flow.on_success, "success"), (flow.on_failure, "failure")):
                if after is not None:
                    plan.add_outcome(self._maker.prepared(after), place, outcome)
            if mold.connection is not None:
                named.append(mold.connection)
            self.jobs.append(self._cast(step, maker, mold, flow))
        self.connections += named or [None]  # a graph goes through the one that any of its calls names
        self._place += len(plan.steps)

    def _cast(self, step: Step, maker: Maker, mold: Mold, flow: FlowMold) -> NewJobs:
        call = step.call
        call.task.check((None, *call.args) if step.takes else call.args, call.kwargs)
        before = step.parents
        if flow.runs_on == "end" and not step.is_outcome:
            before = tuple(edge._replace(runs_on="end") for edge in before)
        parents = (*before, *(Parent(id, runs_on=flow.runs_on) for id in map(self._id_here, flow.after)))
        wanted = keyed(call, flow, maker.codec, takes_result=step.takes is not None)._replace(
            parents=parents, takes=step.takes, only_with=step.only_with
        )
        batch = mold.cast((maker.payload(call),), self._now)
        return batch if wanted == Flow() else batch._replace(flow=wanted)

    def _id_here(self, job: Numbered | int) -> int:
        """The id of a job to wait for. Raises `InvalidOption` for one that lies in another file."""
        desk = getattr(job, "desk", None)
        if desk is not None and desk.place != self._maker.place:
            raise InvalidOption(
                f"after: {job} lies in {desk.database.path}, where other jobs can not wait for it; "
                "let its task enqueue what comes after"
            )
        return number_of(job)


def keyed(call: Call[Any], flow: FlowMold, codec: Codec, *, takes_result: bool = False) -> Flow:
    """The flow of a job with the keys that its arguments make, as the codec writes them."""
    task = call.task

    def key(option: KeyOption) -> str:
        about = (task.name, task.signature, task.types, codec, call.args, call.kwargs)
        return key_of(option, *about, takes_result=takes_result)

    limit_key = None if flow.key is None else key(flow.key)
    if limit_key is None and flow.rule != Rule():
        limit_key = task.name
    return Flow(
        unique_key=None if flow.unique is None else f"{task.name} {key(flow.unique)}",
        unique_for=flow.unique_for,
        on_duplicate=flow.on_duplicate,
        max_wait=flow.max_wait,
        limit_key=limit_key,
        rule=flow.rule,
    )
