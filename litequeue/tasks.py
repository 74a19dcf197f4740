"""Tasks and calls: a function that can be enqueued, and one with its arguments, not yet enqueued."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property, update_wrapper
from itertools import islice
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

from .codec import NO_TYPES, Codec
from .errors import BadArguments, InvalidOption, InvalidTask, shown
from .job import Filter, state_named
from .names import module_name
from .options import NO_OPTIONS, CallOptions, Options, checked, text_name, whole
from .tags import Types, hints, named_types

if TYPE_CHECKING:
    from .casting import Caster
    from .handle import Job, JobGroup
    from .hooks import Hooks
    from .schedules import Schedules
    from .timing import Timing
    from .workflow import Chain, Group, Node

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
Q = ParamSpec("Q")
Named = str | Callable[..., Any]  # a task, its function, or its name
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Producer(Protocol):
    """Whoever stores calls as jobs."""

    @property
    def codec(self) -> Codec:
        """How its jobs are encoded."""

    @property
    def declared(self) -> Mapping[str, Task[..., Any]]:
        """The tasks that were declared with it, by name."""

    @property
    def hooks(self) -> Hooks:
        """The hooks and the middleware that were declared with it."""

    @property
    def caster(self) -> Caster:
        """Who makes jobs of its calls."""

    @property
    def place(self) -> object:
        """Where its jobs lie: the same for all queues on one file."""

    @property
    def schedules(self) -> Schedules:
        """The schedules of its file."""

    @property
    def in_transaction(self) -> bool:
        """Whether what this thread stores is a part of a transaction that is open."""

    def submit(self, call: Call[Any]) -> Job[Any]:
        """Store one checked call."""

    def submit_node(self, node: Node) -> Job[Any] | JobGroup[Any]:
        """Store a whole graph of calls in one transaction."""


class Task(Generic[P, R]):
    """A function that can be enqueued; calling it runs it here and now."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        queue: Producer,
        options: Options,
        timing: Timing | None = None,
    ) -> None:
        self.function = function
        self.timing = timing  # when it is enqueued by itself
        self.name = name
        self.options = options
        self.producer = queue
        self.mold: tuple[Producer, Any] | None = None  # what its producer prepared for all its jobs
        update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self.function(*args, **kwargs)
        return result

    @overload
    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
    @overload
    def call(self: Task[Concatenate[Any, Q], R], *args: Q.args, **kwargs: Q.kwargs) -> Call[R]: ...
    def call(self, *args: Any, **kwargs: Any) -> Call[R]:
        """The call with these arguments, to be enqueued later. Raises `BadArguments` if they do not fit.

        The first may be left out where the result of a parent will take its place.
        """
        return self._call(*args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Call[R]:
        try:
            self.check(args, kwargs)
        except BadArguments:
            if not self._fits((None, *args), kwargs):
                raise
            return ShortCall(self, args, kwargs)
        return Call(self, args, kwargs)

    def map(self, *items: Iterable[Any]) -> Group[R]:
        """A group of calls, one for each item; of several lists the items go together, as in `map`."""
        from .workflow import group

        return group(self._call(*each) for each in zip(*items, strict=False))

    def chunks(self, items: Iterable[Any], size: int) -> Group[R]:
        """A group of calls, each with a list of at most `size` of the items as its argument."""
        from .workflow import group

        whole(size, "size", 1, 2**31)
        rest = iter(items)
        return group(self._call(chunk) for chunk in iter(lambda: list(islice(rest, size)), []))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a job that runs this task with these arguments."""
        self.check(args, kwargs)
        return self.producer.submit(Call(self, args, kwargs))

    delay = send = enqueue  # its names in Celery and in Dramatiq

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`enqueue` for a coroutine: the event loop does not wait for the disk.

        Cancelled meanwhile, it may have stored the job all the same.
        """
        self.check(args, kwargs)
        return await Call(self, args, kwargs).aenqueue()

    def using(self, **options: Unpack[CallOptions]) -> Task[P, R]:
        """The same task with other options."""
        return type(self)(self.function, self.name, self.producer, checked(options).over(self.options))

    def check(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Raise `BadArguments` when the arguments do not fit the signature."""
        fewest, most = self._places
        if (not kwargs and fewest <= len(args) <= most) or self.signature is None:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            hint = "; options belong into the explicit form, with args= or kwargs=" if kwargs else ""
            raise BadArguments(f"{self.name}{self.signature}: {error}{hint}") from None

    def _fits(self, args: Sequence[object], kwargs: Mapping[str, object]) -> bool:
        try:
            self.check(args, kwargs)
        except BadArguments:
            return False
        return True

    @cached_property
    def _places(self) -> tuple[int, int]:
        """How few and how many arguments fit by place alone; `bind` takes 10 us to find the same."""
        if self.signature is None:
            return 0, 0
        kinds = [parameter.kind for parameter in self.signature.parameters.values()]
        by_place = [p for p in self.signature.parameters.values() if p.kind in _BY_PLACE]
        if any(kind not in _BY_PLACE for kind in kinds):
            return 1, 0  # starred or keyword-only: nothing is sure, ask `bind`
        return sum(p.default is p.empty for p in by_place), len(by_place)

    @cached_property
    def signature(self) -> inspect.Signature | None:
        """The signature, where Python knows one."""
        try:
            return inspect.signature(self.function)
        except (ValueError, TypeError):
            return None  # some functions written in C have none; then anything may fit

    @cached_property
    def types(self) -> Types:
        """The enums and dataclasses that the annotations name."""
        return named_types(hints(self.function).values())

    @cached_property
    def is_async(self) -> bool:
        """Whether it is an `async def`, which runs on the worker's event loop."""
        return inspect.iscoroutinefunction(self.function)

    def __reduce__(self) -> str:
        return self.function.__qualname__  # found by its name, as functions are; one made by `using` is not

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class AsyncTask(Task[P, R]):
    """An `async def` that can be enqueued; calling it gives its coroutine."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
        coroutine: Coroutine[Any, Any, R] = self.function(*args, **kwargs)
        return coroutine


class Declare(Protocol):
    """The decorator that `@queue.task(…)` with options gives."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class Call(NamedTuple, Generic[R_co]):
    """A task with arguments, not yet enqueued."""

    task: Task[..., Any]
    args: Sequence[object]
    kwargs: Mapping[str, object]
    options: Options = NO_OPTIONS

    def using(self, **options: Unpack[CallOptions]) -> Call[R_co]:
        """The same call with other options."""
        return type(self)(self.task, self.args, self.kwargs, checked(options).over(self.options))

    def then(
        self, following: Call[S] | Task[..., S] | Chain[S] | Group[S], *, pass_result: bool = True
    ) -> Chain[S]:
        """This call and, when it completed, the next, with its result as the first argument."""
        from .workflow import chain

        return chain(self, following, pass_result=pass_result)

    def __or__(self, following: Call[S] | Task[..., S] | Chain[S] | Group[S]) -> Chain[S]:
        return self.then(following)

    def enqueue(self) -> Job[R_co]:
        """Store it as a job."""
        return self.task.producer.submit(self)

    async def aenqueue(self) -> Job[R_co]:
        """`enqueue` for a coroutine: the event loop does not wait for the disk.

        Cancelled meanwhile, it may have stored the job all the same.
        """
        import asyncio

        producer = self.task.producer
        if producer.in_transaction:  # which another thread could not join; nothing is synced before its end
            return producer.submit(self)
        return await asyncio.to_thread(producer.submit, self)


class ShortCall(Call[R_co]):
    """A call whose first argument will be the result of a parent."""

    __slots__ = ()

    def enqueue(self) -> Job[R_co]:
        """Raise `BadArguments`: alone it has no parent."""
        self.task.check(self.args, self.kwargs)
        return super().enqueue()


def make_task(
    function: Callable[..., Any],
    name: str,
    queue: Producer,
    options: Options,
    timing: Timing | None = None,
) -> Task[..., Any]:
    """The task for a function, of the kind that fits it."""
    kind = AsyncTask if inspect.iscoroutinefunction(function) else Task
    return kind(function, name, queue, options, timing)


def by_name(name: str, queue: Producer, options: Options) -> Task[..., Any]:
    """A task known only by its name; a worker that has the code will resolve it."""

    def absent(*_: object, **__: object) -> object:
        raise InvalidTask(f"{name} was enqueued by its name, so its code is not known here")

    task: Task[..., Any] = Task(absent, checked_name(name), queue, options)
    task.__dict__["signature"] = None
    task.__dict__["types"] = NO_TYPES
    return task


def job_filter(queue: str, state: str | None, task: Named | None, tag: str | None) -> Filter:
    """The filter that a person asked for. Raises `InvalidOption` for a state or name that is none."""
    return Filter(
        queue=text_name(queue, "queue"),
        state=None if state is None else state_named(state),
        task=None if task is None else name_of(task),
        tag=None if tag is None else text_name(tag, "tag"),
    )


def name_of(task: Named) -> str:
    """The name by which the jobs of a task, of a plain function, or of a task named so are stored."""
    if isinstance(task, Task):
        return task.name
    return text_name(task, "task") if isinstance(task, str) else task_name(task)


def is_same(one: object, other: object) -> bool:
    """Whether two functions stand at the same place: a module that was loaded again declares them anew."""
    places = ("__module__", "__qualname__")
    return all(getattr(one, place, None) == getattr(other, place, None) for place in places)


def checked_name(name: str) -> str:
    """A task's name, as `module:function` or one that `name=` gave."""
    text_name(name, "the task's name")
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise InvalidOption(f"{shown(name)} names no task; write 'package.module:function'")
    return name


def task_name(function: object) -> str:
    """The name under which other processes find a function: `package.module:function`.

    Raises `InvalidTask` for what they can not find: a lambda, a nested function, a method, an object.
    """
    qualified = getattr(function, "__qualname__", None)
    if not callable(function) or not isinstance(qualified, str):
        raise InvalidTask(
            f"{shown(function)} is not a function; enqueue a function, or a name like 'app:fetch'"
        )
    if "<lambda>" in qualified:
        raise InvalidTask("a lambda has no name that a worker could find; write a function with def")
    if "<locals>" in qualified:
        raise InvalidTask(
            f"{qualified} is defined inside a function, where no worker can find it; "
            "move it to the top of its module, or give it a name with @queue.task(name=…)"
        )
    if inspect.ismethod(function) or not isinstance(
        getattr(function, "__self__", None), types.ModuleType | types.NoneType
    ):
        raise InvalidTask(f"{qualified} is a method bound to an object; enqueue a function of a module")
    return f"{module_name(function)}:{qualified}"
