"""Tasks as a queue knows them: declared with it, or met when their plain functions were enqueued."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from .errors import InvalidOption, InvalidTask, shown
from .hooks import (
    AroundTask,
    BeforeEnqueue,
    ErrorEvent,
    ErrorHook,
    Hooks,
    PlainEvent,
    PlainHook,
    require_event,
)
from .options import NO_OPTIONS, UNSET, Options, TaskOptions, checked, require_partners, text_name
from .tasks import AsyncTask, Declare, Producer, Task, by_name, is_same, make_task, task_name
from .timing import NAMES as TIMING
from .timing import Timing, TimingOptions, names_one_instant, timing_of

P = ParamSpec("P")
R = TypeVar("R")


class DeclareOptions(TaskOptions, TimingOptions, total=False):
    """What may be said where a task is declared."""


class Declarations:
    """The part of a queue that declares tasks and finds them again."""

    def __init__(self) -> None:
        self.declared: dict[str, Task[..., Any]] = {}
        self._plain: dict[str, Task[..., Any]] = {}
        self.hooks = Hooks()

    @property
    def _producer(self) -> Producer:
        return cast(Producer, self)  # the queue, which adds how calls are stored

    @overload
    def task(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        /,
        *,
        name: str | None = None,
        **options: Unpack[DeclareOptions],
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(
        self, function: Callable[P, R], /, *, name: str | None = None, **options: Unpack[DeclareOptions]
    ) -> Task[P, R]: ...
    @overload
    def task(self, /, *, name: str | None = None, **options: Unpack[DeclareOptions]) -> Declare: ...
    def task(self, function: Any = None, /, *, name: str | None = None, **options: Any) -> Any:
        """Declare a function as a task; with or without options.

        With `cron=` or `every=` workers enqueue it by themselves: see `schedules.add`.
        """
        given = {key: options.pop(key) for key in TIMING if key in options}
        timing = timing_of(given) if given else None
        chosen = checked(options)
        require_partners(chosen)
        if chosen.connection is not UNSET:
            raise InvalidOption("connection belongs to one call: task.using(connection=…).enqueue(…)")
        if chosen.after is not UNSET:
            raise InvalidOption("after belongs to one call: task.using(after=[job]).enqueue(…)")

        def declare(decorated: Any) -> Task[..., Any]:
            return self._declare(decorated, name, chosen, timing)

        return declare if function is None else declare(function)

    def _declare(
        self, function: Any, name: str | None, options: Options, timing: Timing | None
    ) -> Task[..., Any]:
        if isinstance(function, Task):
            raise InvalidTask(f"{function.name} is a task already; declare the function itself")
        if not callable(function):
            raise InvalidTask(f"{function!r:.100} is not a function")
        chosen = task_name(function) if name is None else text_name(name, "the task's name")
        task = make_task(function, chosen, self._producer, options, timing)
        if timing is not None:
            task.check((), {})  # it will be called without arguments
            if options.run_at is not UNSET or options.expires_at is not UNSET:
                raise names_one_instant(chosen)
        before = self.declared.get(chosen)
        if name is not None and before is not None and not is_same(before.function, function):
            raise InvalidTask(f"two functions want the name {chosen!r}; give each its own")
        self.declared[chosen] = task
        return task

    # --- around what it does -----------------------------------------------------------------------

    @overload
    def on(self, event: ErrorEvent, hook: ErrorHook, /) -> ErrorHook: ...
    @overload
    def on(self, event: PlainEvent, hook: PlainHook, /) -> PlainHook: ...
    @overload
    def on(self, event: ErrorEvent, /) -> Callable[[ErrorHook], ErrorHook]: ...
    @overload
    def on(self, event: PlainEvent, /) -> Callable[[PlainHook], PlainHook]: ...
    def on(self, event: str, hook: Any = None, /) -> Any:
        """Call a function for each event of this name: `on("completed", hook)`, or as a decorator.

        It gets the job, and for "failed", "retried" and "reaped" the error. It runs after the commit, beside
        the worker's loop; what it raises is logged.
        """
        if hook is None:
            require_event(event)
            return lambda decorated: self.on(event, decorated)  # type: ignore[call-overload]
        self.hooks.on(event, hook)
        return hook

    @overload
    def middleware(self, function: AroundTask, /) -> AroundTask: ...
    @overload
    def middleware(self, where: Literal["enqueue"], /) -> Callable[[BeforeEnqueue], BeforeEnqueue]: ...
    def middleware(self, given: Any, /) -> Any:
        """Let `def m(job, call_next)` run around each task of this queue; as a decorator.

        An `async def` runs around those that are coroutines. With `@queue.middleware("enqueue")` let
        `def m(call)` see each call before it is stored, and give the one to store, or raise.
        """
        if callable(given):
            self.hooks.wrap(given)
            return given
        if given != "enqueue":
            raise InvalidOption(
                f'{shown(given)} is no place for middleware; write @queue.middleware, or ("enqueue")'
            )
        return self.hooks.before_enqueue

    def task_for(self, task: object) -> Task[..., Any]:
        """The task itself, or the one for a plain function or a name. Raises `InvalidTask` for others."""
        if isinstance(task, Task):
            return task
        if isinstance(task, str):
            return self.declared.get(task) or by_name(task, self._producer, NO_OPTIONS)
        name = task_name(task)
        known = self._plain.get(name)
        if known is None or known.function is not task:
            known = self._plain[name] = make_task(task, name, self._producer, NO_OPTIONS)  # type: ignore[arg-type]
        return known

    @property
    def runnable(self) -> Mapping[str, Task[..., Any]]:
        """The tasks that this very process declared or enqueued, now and later."""
        return ChainMap(self.declared, self._plain)
