"""What a worker knows of the tasks it meets: which it can run, which it can not, which are coroutines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..job import Want
from ..resolve import Resolver
from ..tasks import Producer, Task


class Knowledge:
    """Names judged so far. Judging may import a module, so it happens outside every transaction."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._tasks: dict[str, Task[..., Any]] = {}
        self.known: frozenset[str] = frozenset()
        self.refused: frozenset[str] = frozenset()
        self.coroutines: frozenset[str] = frozenset()
        self.revive: frozenset[str] = frozenset()
        self._producers: list[Producer] = []
        for producer in (resolver.producer, *(task.producer for task in resolver.declared())):
            self._meet(producer)

    @property
    def is_heard(self) -> bool:
        """Whether there are hooks that want to hear what becomes of jobs."""
        return any(producer.hooks.hears_worker for producer in self._producers)

    def learn(self, names: Iterable[str]) -> None:
        """Judge names that were met for the first time."""
        for name in names:
            task = self._resolver.task(name)
            if task is None:
                self.refused |= {name}
                continue
            self._tasks[name] = task
            self._meet(task.producer)
            self.known |= {name}
            self.refused -= {name}
            if task.is_async:
                self.coroutines |= {name}

    def meet_parked(self, names: Iterable[str]) -> None:
        """Of tasks that other workers could not resolve, stand up for those we can."""
        parked = frozenset(names)
        self.learn(parked - self.known)  # what was refused may have been declared since
        self.revive = parked & self.known

    def _meet(self, producer: Producer) -> None:
        if producer not in self._producers:
            self._producers.append(producer)

    def task(self, name: str) -> Task[..., Any]:
        """The task of a name that was found good."""
        return self._tasks[name]

    def want(
        self,
        queue: str,
        start: int,
        limit: int,
        slots: int,
        quick: frozenset[str] | None = None,
        total: int | None = None,
    ) -> Want:
        """What to ask of a queue, given so much room."""
        return Want(
            queue,
            start,
            limit,
            known=self.known,
            refused=self.refused,
            coroutines=self.coroutines,
            slots=slots,
            revive=self.revive,
            quick=quick,
            total=total,
        )
