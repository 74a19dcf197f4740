"""Steps: parts of a task that are done once, over all the attempts of its job."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from sqlite3 import Connection
from typing import Any, NamedTuple, Protocol, TypeVar

from .codec import Codec, reader, result_body
from .errors import EncodingError, InvalidOption, LiteQueueError, PayloadTooLarge, shown
from .job import Lease, StoredResult
from .options import text_name
from .tags import Types, hints, named_types

T = TypeVar("T")
_AWAIT = "the step {!r} is a coroutine function; write `await current_job().astep(…)` in an `async def` task"
_HOLDS = (
    "the step {!r} is a coroutine function, and would hold the file's write lock across its awaits; "
    "give a plain function to transaction=True"
)


class StepKeeper(Protocol):
    """Whoever stores what steps return; given to a running job by its worker."""

    @property
    def is_joined(self) -> bool:
        """Whether what this thread writes is a part of a transaction that is open."""

    def find(self, lease: Lease, name: str) -> StoredResult | None:
        """What the step returned in this attempt or an earlier one."""

    def keep(self, lease: Lease, name: str, result: StoredResult) -> None:
        """Store what it returned, for good. Raises `LeaseLost`."""

    def keep_with(self, lease: Lease, name: str, work: Callable[[Connection], StoredResult]) -> None:
        """Run `work` in a transaction that commits with the result that it gives. Raises `LeaseLost`."""


class Work(NamedTuple):
    """What a step is to do when it was not done yet; `takes_connection` if in a transaction of its own."""

    name: str
    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    takes_connection: bool


class Steps:
    """The steps of one attempt: what is encoded with the task's codec, and kept by `keeper`."""

    def __init__(
        self, lease: Lease, keeper: StepKeeper, codec: Codec, types: Types, limit: int, *, is_async: bool
    ) -> None:
        self.is_async = is_async
        self._lease = lease
        self._keeper = keeper
        self._codec = codec
        self._types = types
        self._limit = limit
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._refused: list[EncodingError] = []

    def has_refused(self, error: BaseException) -> bool:
        """Whether this says that a step was done and can not be kept, so that it would be done again."""
        return any(each is error for each in self._refused)

    def run(self, work: Work) -> Any:
        """Do a step, or give what it returned before."""
        if inspect.iscoroutinefunction(work.function):
            raise InvalidOption(_AWAIT.format(work.name))
        with self._alone(work):
            found = self._keeper.find(self._lease, work.name)
            if found is not None:
                return self._decoded(work, found)
            if work.takes_connection:
                return self._run_with(work)
            value = work.function(*work.args, **work.kwargs)
            self._keeper.keep(self._lease, work.name, self._encoded(work, value))
            return value

    async def arun(self, work: Work) -> Any:
        """The same for a coroutine: its event loop waits neither for the file nor for a plain function."""
        if not inspect.iscoroutinefunction(work.function):
            return await self._aside(lambda: self.run(work))
        if work.takes_connection:
            raise InvalidOption(_HOLDS.format(work.name))
        with self._alone(work):
            found = await self._aside(lambda: self._keeper.find(self._lease, work.name))
            if found is not None:
                return self._decoded(work, found)
            value = await work.function(*work.args, **work.kwargs)
            await self._aside(lambda: self._keeper.keep(self._lease, work.name, self._encoded(work, value)))
            return value

    def _run_with(self, work: Work) -> Any:
        values: list[Any] = []

        def inside(connection: Connection) -> StoredResult:
            values.append(work.function(connection, *work.args, **work.kwargs))
            return self._encoded(work, values[0])

        self._keeper.keep_with(self._lease, work.name, inside)
        return values[0]

    async def _aside(self, call: Callable[[], T]) -> T:
        """Let another thread do it, unless that thread could not join the transaction that this one is in."""
        import asyncio

        return call() if self._keeper.is_joined else await asyncio.to_thread(call)

    @contextmanager
    def _alone(self, work: Work) -> Iterator[None]:
        """Two threads of a task, or a step inside itself, would do it twice."""
        name = text_name(work.name, "the step's name")
        if type(work.takes_connection) is not bool:
            raise InvalidOption(
                f"transaction is {shown(work.takes_connection)}; give the step {name!r} True or False"
            )
        with self._lock:
            if name in self._begun:
                raise LiteQueueError(
                    f"the step {name!r} runs already in this attempt; give each step its own name"
                )
            self._begun.add(name)
        try:
            yield
        finally:
            self._begun.discard(name)

    def _encoded(self, work: Work, value: object) -> StoredResult:
        if value is None:
            return StoredResult(None, None)
        what = f"the result of the step {work.name!r}"
        try:
            body = result_body(self._codec, value, self._types_for(work), self._limit, what)
        except EncodingError as error:
            refused = error if isinstance(error, PayloadTooLarge) else EncodingError(f"{what}: {error}")
            self._refused.append(refused)
            raise refused from (None if refused is error else error)
        return StoredResult(body, self._codec.name)

    def _decoded(self, work: Work, found: StoredResult) -> Any:
        if found.body is None or found.codec is None:
            return None
        return reader(self._codec, found.codec).decode(found.body, self._types_for(work))

    def _types_for(self, work: Work) -> Types:
        """What the annotations of the task name, and those of the step's own function."""
        return {**self._types, **named_types(hints(work.function).values())}
