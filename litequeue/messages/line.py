"""Those who wait for the same thing, threads and coroutines: first come, first called.

Whoever brings it in this process calls the first of the line. For what others bring, a thread listens to
their hints as long as anybody waits, and calls every quarter of a second for hints that were lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from ..clock import SECOND, Clock, wait_or_sleep
from ..desk import Desk

if TYPE_CHECKING:
    from ..worker.wake import Bell

R = TypeVar("R")
POLL = 0.25
_AT_FIRST = 0.015  # for a while after nobody was there to listen, nobody sends hints
_LONGEST_WAIT = 3600.0


class Waiter:
    """One who stands in a line. `wake` wakes him from any thread; False when he is gone for good."""

    __slots__ = ("is_called", "wake")

    def __init__(self, wake: Callable[[], bool]) -> None:
        self.wake = wake
        self.is_called = False


class _Call(threading.Event):
    """An event for one who may be struck by a signal while he waits; Python's own could stay locked then."""

    def __init__(self) -> None:
        self._none = threading.Lock()
        self._none.acquire()

    def is_set(self) -> bool:
        return not self._none.locked()

    def set(self) -> None:
        with suppress(RuntimeError):  # it was set already
            self._none.release()

    def clear(self) -> None:
        self._none.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        came = self._none.acquire(timeout=-1 if timeout is None else timeout)
        if came:
            self.set()
        return came


class Line:
    """The line of those who wait for hints of one name; `due` is how many seconds it may be to the next."""

    def __init__(
        self, name: str, desk: Callable[[], Desk], due: Callable[[], float | None] = lambda: None
    ) -> None:
        self._name = name
        self._desk = desk
        self._due = due
        self.start_afresh()

    def start_afresh(self) -> None:
        """As if nobody had ever waited; in a forked child nobody does."""
        self._mutex = threading.RLock()  # a signal's handler may come in between
        self._change = threading.Condition(self._mutex)
        self._waiters: deque[Waiter] = deque()
        self._bell: Bell | None = None
        self._closed = False

    def tell(self) -> None:
        """It may be there now: call the first who waits here, and give those in other processes a hint."""
        self.call()
        self._desk().store.hint([self._name])

    def call(self) -> None:
        """Call the first who was not called yet."""
        with self._mutex:
            for waiter in list(self._waiters):
                if not waiter.is_called:
                    waiter.is_called = True
                    if waiter.wake():
                        return

    def call_all(self) -> None:
        """Call everybody."""
        with self._mutex:
            for waiter in list(self._waiters):
                waiter.is_called = True
                waiter.wake()

    def wait(self, attempt: Callable[[], R | None], clock: Clock, micros: int | None) -> R | None:
        """What `attempt` gives, tried whenever this thread is called; None when the time is over."""
        called = _Call()
        end = None if micros is None else clock.monotonic() + micros

        def wake() -> bool:
            called.set()
            return True

        with self.waiting(wake) as waiter:
            while True:
                called.clear()
                self.go_on(waiter)
                found = self.retry(attempt)
                left = None if end is None else (end - clock.monotonic()) / SECOND
                if found is not None or (left is not None and left <= 0):
                    return found
                if left is None:
                    clock.wait(called, _LONGEST_WAIT)
                else:
                    wait_or_sleep(clock, called, min(left, _LONGEST_WAIT))

    def retry(self, attempt: Callable[[], R | None]) -> R | None:
        """What `attempt` gives; hints that are left when it gives nothing are old ones."""
        found = attempt()
        if found is None and self._took_hints():
            found = attempt()
        return found

    @contextmanager
    def waiting(self, wake: Callable[[], bool]) -> Iterator[Waiter]:
        """Stand in the line within the block; who leaves it lets the next one try."""
        waiter = Waiter(wake)
        try:
            with self._mutex:
                self._listen()
                self._waiters.append(waiter)
                self._change.notify()
            yield waiter
        finally:
            with self._mutex:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            self.call()

    def go_on(self, waiter: Waiter) -> None:
        """From now on he may be called again; he tries after that, so that nothing is missed."""
        with self._mutex:
            waiter.is_called = False
            self._change.notify()

    def close(self) -> None:
        """Listen no more; those who wait are called, and find out why if the file is closed by then."""
        with self._mutex:
            self._closed = True
            self._change.notify()
            if self._bell is not None:
                self._bell.ring()
        self.call_all()

    # --- the thread that listens -------------------------------------------------------------------

    def _took_hints(self) -> bool:
        with self._mutex:  # or the thread might close the pipes under our hands
            return self._bell is not None and self._bell.take_hints()

    def _listen(self) -> None:
        """Begin to listen, before the first who waits tries once more."""
        if self._bell is None and not self._closed:
            from ..worker.wake import Bell

            database = self._desk().database
            bell = Bell(None if database.in_memory else database.path, [self._name])
            thread = threading.Thread(target=self._serve, args=(bell,), name="litequeue-messages")
            thread.daemon = True
            thread.start()
            self._bell = bell  # only now that it is listened to

    def _serve(self, bell: Bell) -> None:
        pause = _AT_FIRST
        while True:
            with self._mutex:
                while not self._closed and all(waiter.is_called for waiter in self._waiters):
                    self._change.wait()
                    pause = _AT_FIRST
                if self._closed:
                    break
            bell.wait(self._pause(pause))
            pause = POLL
            self.call()
        with self._mutex:
            self._bell = None
            bell.close()

    def _pause(self, longest: float) -> float:
        due = self._due()
        return longest if due is None else max(0.001, min(longest, due))
