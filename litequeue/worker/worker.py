"""The worker that users hold: in the background of their process, or in the foreground of its own."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from ..context import current_job
from ..errors import WorkerError
from ..log import log
from ..names import INTERACTIVE, module_name
from ..queue import Queue
from ..resolve import Resolver, import_apps, resolver_by
from .firing import declare
from .loop import Loop
from .notify import Notifier
from .settings import WorkerOptions
from .stops import stop_signals
from .supervisor import Crew, Supervisor

_TIME_TO_START = 60.0
_LONGEST_WAIT = 1.0


class _Run:
    """The time that a thread runs, waited for by those whom Ctrl-C may strike.

    Struck in mid-wait, `Event.wait` may leave the event's own lock shut, and `Thread.join` takes the thread
    for ended.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._lasts = threading.Lock()
        self._lasts.acquire()

    def end(self) -> None:
        """It is over."""
        self.is_over = True
        self._lasts.release()

    def wait(self, seconds: float | None) -> None:
        """Wait until it is over, at most `seconds`."""
        if seconds is None:
            while not self.is_over:
                self.wait(_LONGEST_WAIT)  # another who waited may have been struck with the lock in hand
        elif not self.is_over and self._lasts.acquire(timeout=max(0.0, seconds)):
            self._lasts.release()


class Worker:
    """Runs the jobs of a queue: in the background with `with`, leaving signals alone, or here by `run()`."""

    def __init__(
        self,
        queue: Queue,
        options: WorkerOptions,
        *,
        apps: Sequence[str] | None = None,
        log: str | None = None,
        resolver_by: str | None = None,
        host: AbstractEventLoop | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._queue = queue
        self._resolver_by = resolver_by  # a face for a framework finds its tasks in its own way
        self._options = options
        self._apps = None if apps is None else tuple(apps)
        self._log = log
        self._host = host  # the event loop for coroutines, if not one of its own
        self._notifier = notifier
        self._run: _Run | None = None  # in the background
        self._running: Loop | Supervisor | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._early_stops = 0
        self._process = os.getpid()

    def run(self) -> None:
        """Work here until stopped by SIGTERM, SIGINT or SIGHUP, or until a burst or `max_jobs` is over.

        A first signal lets running jobs finish for the grace time, a second one gives them back at once.
        Raises `WorkerError` when processes can not start or die again and again, or when threads are stuck.
        """
        self._running = running = self._make()
        with _signals(running.stop):
            self._work(running)

    def stop(self) -> None:
        """Stop claiming, and let jobs finish for the grace time; a second call gives them back now."""
        if self._is_elsewhere:
            return
        if self._running is None:
            self._early_stops += 1
        else:
            self._running.stop()

    def start(self) -> Worker:
        """Begin to work in the background; `with` does it for you."""
        if self._run is not None:
            raise WorkerError("this worker was started already; make another one")
        self._running = running = self._make()
        self._run = _Run()
        try:
            atexit.register(self._end)  # a thread that ends with the interpreter would give nothing back
            self._thread = threading.Thread(target=self._run_behind, name="litequeue-worker", daemon=True)
            self._queue.behind.add(self)
            self._thread.start()
            if isinstance(running, Supervisor):
                running.started.wait(_TIME_TO_START)
                if running.is_over:
                    self.join()  # raises if they could not start
        except BaseException:
            # Whoever is interrupted here never gets to the `with` that would stop it.
            running.stop()
            self._run = None
            self._forget()
            raise
        return self

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the worker has ended, at most `timeout` seconds; whether it has. Raises its error."""
        if self._run is None or self._is_elsewhere:
            return True
        self._run.wait(timeout)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._run.is_over

    def end_first(self) -> None:
        """Stop and wait, for the queue is about to close; what ended it early is raised by `join`.

        A job of this very worker that closes the queue does not wait for itself. On the event loop that runs
        its coroutines, which can not go on meanwhile, what runs is given back at once.
        """
        run = self._run
        if run is None or self._is_elsewhere or self._is_here:
            return
        if self._is_held_up:
            self.stop()
        self._end_by(lambda: run.wait(None))

    def __enter__(self) -> Worker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end()

    @property
    def _is_elsewhere(self) -> bool:
        """Whether this is a forked child, which may leave the block, or end, long before its parent."""
        return os.getpid() != self._process

    @property
    def _is_here(self) -> bool:
        """Whether this code is a part of the worker: one of its jobs, or what its loop has called."""
        if threading.current_thread() is self._thread:
            return True
        job, running = current_job(), self._running
        return isinstance(running, Loop) and any(one.running is job for one in running.running())

    @property
    def _is_held_up(self) -> bool:
        """Whether this is the event loop that its coroutines need."""
        if self._host is None:
            return False
        import asyncio

        try:
            return asyncio.get_running_loop() is self._host
        except RuntimeError:
            return False

    def _end(self) -> None:
        self._end_by(self.join)

    def _end_by(self, wait: Callable[[], object]) -> None:
        """Stop and wait; who is interrupted meanwhile wants it at once."""
        self.stop()
        try:
            wait()
        except BaseException:
            self.stop()
            wait()
            raise

    def _run_behind(self) -> None:
        running, run = self._running, self._run
        if running is None or run is None:
            return  # its start was interrupted
        try:
            self._work(running)
        except BaseException as error:  # handed to whoever joins, which may be late
            log.error("the worker in the background has ended: %s", error)
            self._error = error
        finally:
            self._forget()
            run.end()

    def _forget(self) -> None:
        atexit.unregister(self._end)
        self._queue.behind.discard(self)

    def _work(self, running: Loop | Supervisor) -> None:
        for _ in range(self._early_stops):
            running.stop()
        running.run()
        if isinstance(running, Loop) and running.recycle:
            raise WorkerError(
                "too many threads are stuck in tasks that ignore their time limit; "
                "with processes=1 or more such a process is replaced by itself"
            )

    def _make(self) -> Loop | Supervisor:
        if "LITEQUEUE_CHILD" in os.environ:
            raise WorkerError(
                "a worker process may not start workers of its own; if a script's import starts one, "
                'put that under `if __name__ == "__main__":`'
            )
        self._queue.desk.workers.refuse_backup()
        if self._options.processes:
            return Supervisor(self._crew(), self._queue.clock, self._notifier)
        queue, resolver = self._queue, self._resolver()
        declare(queue, resolver.declared())
        return Loop(
            queue.desk,
            resolver,
            self._options,
            queue.lease,
            queue.max_payload,
            self._host,
            self._notifier,
        )

    def _resolver(self) -> Resolver:
        if self._resolver_by is not None:
            return resolver_by(self._resolver_by, self._queue)
        if self._apps is not None:
            return Resolver({}, self._queue, import_apps(self._apps))
        return Resolver(self._queue.runnable, self._queue)

    def _crew(self) -> Crew:
        queue = self._queue
        if queue.desk.database.in_memory:
            raise WorkerError(
                "a queue in memory can not be shared by processes; give it a file, or use threads"
            )
        return Crew(
            path=queue.path,
            identity=queue.desk.database.files.identity,
            name=queue.name,
            durability=queue.desk.database.durability.value,
            lease=queue.lease,
            apps=self._apps,
            resolver_by=self._resolver_by,
            modules=() if self._apps is not None else self._modules(),
            root=os.getcwd(),
            max_payload=queue.max_payload,
            log=self._log,
            options=self._options,
        )

    def _modules(self) -> tuple[str, ...]:
        """The modules whose tasks the processes must know, by names that they can import."""
        names = {module_name(task.function) for task in self._queue.runnable.values()}
        if INTERACTIVE in names:
            raise WorkerError(
                "tasks typed at a prompt or piped in can not be imported by other processes; "
                "put them into a file, or use threads"
            )
        return tuple(sorted(names))


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the signals to stop call `stop`; only the main thread may set that up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop()) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
