"""Code of yours around that of a queue: hooks that hear of events, and middleware around what it does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from .directives import TaskTimeout
from .errors import InvalidOption, shown
from .log import log

if TYPE_CHECKING:
    from .context import RunningJob
    from .handle import Job
    from .job import FailedAttempt
    from .tasks import Call

# Named as the verbs of the life of a job. Those that end it are named as its last state, whatever led there.
PlainEvent = Literal["enqueued", "claimed", "completed", "snoozed", "released", "cancelled"]
ErrorEvent = Literal["retried", "reaped", "failed"]
WITH_ERROR: tuple[str, ...] = get_args(ErrorEvent)
EVENTS: tuple[str, ...] = (*get_args(PlainEvent), *WITH_ERROR)
Hook = Callable[..., Any]
Around = Callable[[Any, Callable[[], Any]], Any]
Prepare = Callable[["Call[Any]"], "Call[Any]"]
PlainHook = TypeVar("PlainHook", bound=Callable[["Job[Any]"], object])
ErrorHook = TypeVar("ErrorHook", bound=Callable[["Job[Any]", "FailedAttempt"], object])
AroundTask = TypeVar("AroundTask", bound=Callable[["RunningJob", Callable[[], Any]], Any])
BeforeEnqueue = TypeVar("BeforeEnqueue", bound=Callable[["Call[Any]"], "Call[Any]"])
_in_hook: ContextVar[bool] = ContextVar("litequeue_in_hook", default=False)


class Hooks:
    """What was declared with one queue, in its order."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[Hook, ...]] = {}
        self.around: tuple[Around, ...] = ()  # plain functions
        self.around_async: tuple[Around, ...] = ()
        self.prepares: tuple[Prepare, ...] = ()
        self.hears_worker = False

    def on(self, event: str, hook: Hook) -> None:
        """Let a function be called for each event of this name."""
        require_event(event)
        if not callable(hook):
            raise InvalidOption(f"{shown(hook)} can not be called; give a function to on({event!r})")
        self._told[event] = (*self._told.get(event, ()), hook)
        self.hears_worker = self.hears_worker or event != "enqueued"

    def wrap(self, middleware: Around) -> None:
        """Let a function run around each plain task, or a coroutine function around each `async def` task."""
        if inspect.iscoroutinefunction(middleware):
            self.around_async = (*self.around_async, middleware)
        else:
            self.around = (*self.around, middleware)

    def before_enqueue(self, prepare: BeforeEnqueue) -> BeforeEnqueue:
        """Let a function see each call before it is stored, and give the one to store."""
        if inspect.iscoroutinefunction(prepare):
            raise InvalidOption(f"{_name(prepare)} is an `async def`; a call is stored by plain functions")
        self.prepares = (*self.prepares, prepare)
        return prepare

    # --- for the queue and its workers -------------------------------------------------------------

    def of(self, event: str) -> tuple[Hook, ...]:
        """The hooks of an event."""
        return self._told.get(event, ())

    def tell(self, event: str, jobs: Sequence[Job[Any]], error: FailedAttempt | None = None) -> None:
        """Call the hooks of an event, for each of the jobs; what one of them raises is logged.

        What a hook itself enqueues is told to nobody, or an enqueue would have no end.
        """
        hooks = self._told.get(event)
        if not hooks or _in_hook.get():
            return
        token = _in_hook.set(True)
        try:
            for job in jobs:
                for hook in hooks:
                    _call(hook, event, (job, error) if event in WITH_ERROR else (job,))
        finally:
            _in_hook.reset(token)

    def prepared(self, call: Call[Any]) -> Call[Any]:
        """The call to store. Raises `InvalidOption` when a middleware gives none."""
        for prepare in self.prepares:
            given, call = call, prepare(call)
            if not hasattr(call, "task") or not hasattr(call, "args"):
                raise InvalidOption(
                    f"the enqueue middleware {_name(prepare)} returned {shown(call)} for {given.task.name}; "
                    "it must return the call to store, or raise"
                )
        return call


def require_event(name: object) -> None:
    """Raise `InvalidOption` for what is the name of no event."""
    if name not in EVENTS:
        raise InvalidOption(f"{shown(name)} is not an event; the events are {', '.join(EVENTS)}")


def run_around(around: Sequence[Around], job: Any, call: Callable[[], Any]) -> Any:
    """What the outermost middleware returns, or its coroutine; the first that was declared is outermost."""
    for middleware in reversed(around):
        call = partial(middleware, job, call)
    return call()


def _call(hook: Hook, event: str, arguments: tuple[object, ...]) -> None:
    try:
        value = hook(*arguments)
        if inspect.iscoroutine(value):
            _finish(value)
    except (KeyboardInterrupt, TaskTimeout):
        raise  # a person's, in a program that drains; or the end of the time of the task that enqueues
    except BaseException:  # a hook hurts nobody but itself
        log.exception("the hook %s on %r raised", _name(hook), event)


def _finish(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run an `async def` hook to its end, on an event loop of its own."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    with ThreadPoolExecutor(1) as aside:  # whoever enqueues on an event loop has one there already
        aside.submit(copy_context().run, asyncio.run, coroutine).result()


def _name(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
