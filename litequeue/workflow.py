"""Workflows: calls that run one after the other or together, stored as one graph in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, Unpack

from .errors import InvalidTask, shown
from .job import Parent
from .options import CallOptions
from .tasks import Call, Task

if TYPE_CHECKING:
    from .handle import Job, JobGroup

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Link(NamedTuple):
    """One node of a chain, and whether it takes the result of the one before."""

    node: Call[Any] | Group[Any]
    takes: bool = True


class Chain(Generic[R_co]):
    """Calls of which each runs when the one before has completed; enqueued, it is the job of the last."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.links = tuple(links)

    def then(
        self, following: Call[S] | Task[..., S] | Chain[S] | Group[S], *, pass_result: bool = True
    ) -> Chain[S]:
        """This chain and, when it completed, the next call, with its result as the first argument."""
        return chain(self, following, pass_result=pass_result)

    def __or__(self, following: Call[S] | Task[..., S] | Chain[S] | Group[S]) -> Chain[S]:
        return self.then(following)

    def using(self, **options: Unpack[CallOptions]) -> Chain[R_co]:
        """The same chain with other options for each of its calls."""
        return Chain(Link(link.node.using(**options), link.takes) for link in self.links)

    def enqueue(self) -> Job[R_co]:
        """Store it in one transaction; the job of its last call."""
        job: Job[R_co] = _producer(self).submit_node(self)
        return job

    async def aenqueue(self) -> Job[R_co]:
        """`enqueue` for a coroutine: the event loop does not wait for the disk."""
        return await _aenqueue(self)  # type: ignore[no-any-return]


class Group(Generic[R_co]):
    """Calls that may run at the same time; what follows waits for all and gets the list of results."""

    def __init__(self, members: Sequence[Node]) -> None:
        self.members = tuple(members)

    def then(
        self, following: Call[S] | Task[..., S] | Chain[S] | Group[S], *, pass_result: bool = True
    ) -> Chain[S]:
        """This group and, when all of it completed, a call with the list of results as its first argument."""
        return chain(self, following, pass_result=pass_result)

    def __or__(self, following: Call[S] | Task[..., S] | Chain[S] | Group[S]) -> Chain[S]:
        return self.then(following)

    def using(self, **options: Unpack[CallOptions]) -> Group[R_co]:
        """The same group with other options for each of its calls."""
        return Group([member.using(**options) for member in self.members])

    def enqueue(self) -> JobGroup[R_co]:
        """Store it in one transaction; its jobs."""
        jobs: JobGroup[R_co] = _producer(self).submit_node(self)
        return jobs

    async def aenqueue(self) -> JobGroup[R_co]:
        """`enqueue` for a coroutine: the event loop does not wait for the disk."""
        return await _aenqueue(self)  # type: ignore[no-any-return]


Node = Call[Any] | Chain[Any] | Group[Any]


def group(calls: Iterable[Call[R] | Chain[R]]) -> Group[R]:
    """Calls, or chains of them, that are awaited together. Raises `InvalidTask` for anything else."""
    return Group([as_node(each) for each in calls])


def chain(first: Node, following: object, *, pass_result: bool) -> Chain[Any]:
    """One node and the next; a bare task stands for its call with the result alone."""
    then = Call(following, (), {}) if isinstance(following, Task) else as_node(following)
    next_link, *others = _links(then)
    return Chain([*_links(first), Link(next_link.node, pass_result), *others])


def _links(node: Node) -> tuple[Link, ...]:
    return node.links if isinstance(node, Chain) else (Link(node),)


def as_node(given: object) -> Node:
    """What may stand in a graph. Raises `InvalidTask` for anything else."""
    if not isinstance(given, (Call, Chain, Group)):
        raise InvalidTask(f"{shown(given)} is not a call; write task.call(…)")
    return given


class Step(NamedTuple):
    """One call of a graph, the jobs it waits for, and which of their results it takes."""

    call: Call[Any]
    parents: tuple[Parent, ...] = ()
    takes: str | None = None
    is_outcome: bool = False  # it runs after that end of its parent, whatever it says itself
    only_with: int | None = None  # the place of the job whose outcome this comes of


class Ends(NamedTuple):
    """What a node waits for: where in the plan that stands, what it takes of it, and of which outcome.

    `is_list`: it takes a list of results, with none of the `silent` ones, which stand before an empty group.
    """

    places: tuple[int, ...]
    is_list: bool = False
    takes: bool = False
    silent: tuple[Parent, ...] = ()
    outcome: str | None = None

    def parents(self, *, passes: bool) -> tuple[Parent, ...]:
        """What a job that waits for these has as its parents."""
        runs_on = self.outcome or "success"
        return (
            *(Parent(place=place, runs_on=runs_on, passes=passes) for place in self.places),
            *self.silent,
        )

    @property
    def given(self) -> tuple[int, ...]:
        """Where the jobs stand that the caller gets: the silent ones when there are no others."""
        return self.places or tuple(each.place for each in self.silent if each.place is not None)


AT_ONCE = Ends(())


class Plan:
    """The calls of a graph in an order in which every parent comes before its children."""

    def __init__(self, first: int) -> None:
        self._first = first
        self.steps: list[Step] = []

    def add_outcome(self, node: Node, place: int, outcome: str) -> None:
        """Append the calls of a node that comes of such an end of one job, and belongs to that."""
        first = len(self.steps)
        self.add(node, Ends((place,), outcome=outcome))
        self.steps[first:] = [step._replace(only_with=place) for step in self.steps[first:]]

    def add(self, node: Node, before: Ends = AT_ONCE) -> Ends:
        """Append the calls of a node that waits for what ends before it; its own ends."""
        if isinstance(node, Chain):
            for number, link in enumerate(node.links):
                before = self.add(link.node, before._replace(takes=link.takes) if number else before)
            return before
        if isinstance(node, Group):
            if not node.members:
                return before._replace(is_list=True, places=(), silent=before.parents(passes=False))
            return _together([self.add(each, before) for each in node.members])
        parents = before.parents(passes=before.takes)
        takes = ("all" if before.is_list else "one") if before.takes else None
        self.steps.append(Step(node, parents, takes, is_outcome=before.outcome is not None))
        return Ends((self._first + len(self.steps) - 1,))


def _together(members: Sequence[Ends]) -> Ends:
    """The ends of a group: those of its members, in their order."""
    places = tuple(place for ends in members for place in ends.places)
    silent = dict.fromkeys(parent for ends in members for parent in ends.silent)
    outcome = None if places else next((ends.outcome for ends in members if ends.outcome), None)
    return Ends(places, is_list=True, silent=tuple(silent), outcome=outcome)


def mapped(node: Node, change: Callable[[Call[Any]], Call[Any]]) -> Node:
    """The same graph of other calls."""
    if isinstance(node, Chain):
        return Chain(Link(_mapped(link.node, change), link.takes) for link in node.links)
    return _mapped(node, change)


def _mapped(node: Call[Any] | Group[Any], change: Callable[[Call[Any]], Call[Any]]) -> Call[Any] | Group[Any]:
    if isinstance(node, Group):
        return Group([mapped(member, change) for member in node.members])
    return change(node)


def calls_of(node: Node) -> Iterable[Call[Any]]:
    """The calls of a graph."""
    if isinstance(node, Call):
        yield node
        return
    for part in [link.node for link in node.links] if isinstance(node, Chain) else node.members:
        yield from calls_of(part)


def _producer(node: Node) -> Any:
    first = next(iter(calls_of(node)), None)
    if first is None:
        raise InvalidTask("an empty group has no jobs to enqueue; only with .then(…) it has")
    return first.task.producer


async def _aenqueue(node: Node) -> Any:
    import asyncio

    producer = _producer(node)
    if producer.in_transaction:  # which another thread could not join; nothing is synced before its end
        return producer.submit_node(node)
    return await asyncio.to_thread(producer.submit_node, node)
