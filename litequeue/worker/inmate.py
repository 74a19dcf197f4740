"""The other side of the sandbox: a child process that runs the jobs it is sent, one at a time."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from functools import cache, reduce
from multiprocessing.connection import Connection as Pipe
from queue import SimpleQueue
from sqlite3 import Connection
from typing import Any

from ..clock import SystemClock
from ..context import Mailbox, RunningJob
from ..errors import DatabaseError, LeaseLost, LiteQueueError
from ..job import Claimed, Fail, Lease, Settlement, StoredResult
from ..options import NO_OPTIONS
from ..queue import Queue
from ..storage.database import MEMORY
from ..tasks import Task, make_task
from . import wire
from .execution import Execution, failure_of
from .limits import Limits
from .outcome import Assignment
from .traces import changed, traces


class Line:
    """The pipe to the worker, shared by the thread that runs the job and the one that listens."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, **message: object) -> None:
        """Tell the worker something."""
        with self._lock:
            self._pipe.send_bytes(wire.to_bytes(message))

    def receive(self) -> dict[str, Any]:
        """What the worker says next. Raises `EOFError` when it is gone."""
        return wire.from_bytes(self._pipe.recv_bytes())


class Courier(Mailbox):
    """A mailbox that sends at once what is put into it."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def put_progress(self, fraction: float | None, text: str | None) -> None:
        self._line.send(progress=[fraction, text])

    def put_meta(self, text: str) -> None:
        self._line.send(meta=text)

    def put_line(self, at: int, text: str) -> None:
        self._line.send(line=[at, text])


class Messenger:
    """Lets the worker at the other end keep the steps of the job, for there is no file here."""

    is_joined = False

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self.answers: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def find(self, lease: Lease, name: str) -> StoredResult | None:
        """What the step returned in this attempt or an earlier one."""
        found: StoredResult | None = self._ask(find=name)
        return found

    def keep(self, lease: Lease, name: str, result: StoredResult) -> None:
        """Store what it returned, for good. Raises `LeaseLost`."""
        self._ask(keep=name, result=result)

    def keep_with(self, lease: Lease, name: str, work: Callable[[Connection], StoredResult]) -> None:
        """Refuse, with the reason."""
        raise LiteQueueError(
            f"the step {name!r} can not have a transaction in an isolated task, which runs in a process of "
            "its own; take isolate=True away, or make its writes harmless when they are done twice"
        )

    def leave(self, lease: Lease) -> None:
        """There is nothing to leave."""

    def _ask(self, **question: object) -> Any:
        with self._lock:
            self._line.send(**question)
            answer = self.answers.get()
        if "refused" in answer:
            kind = LeaseLost if answer["is_lost"] else DatabaseError
            raise kind(answer["refused"])
        return answer["answer"]


class Inmate:
    """Receives jobs, runs them, and ends with the worker that sent them."""

    def __init__(self, line: Line, max_payload: int) -> None:
        self._line = line
        self._jobs: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._running: RunningJob | None = None
        clock = SystemClock()
        limits = Limits(clock, lambda *_: True)  # the worker watches the time, and kills
        self._messenger = Messenger(line)
        self._execution = Execution(clock, limits, max_payload, self._messenger)
        self._clock = clock

    def serve(self) -> None:
        """Run jobs until the worker is gone."""
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            message = self._jobs.get()
            before = traces()
            settlement = self._run(message["claimed"], message["place"])
            self._line.send(settlement=settlement, changed=changed(before))

    def _listen(self) -> None:
        try:
            while True:
                message = self._line.receive()
                if "stop" in message and self._running is not None:
                    self._running.ask_to_stop()
                elif "claimed" in message:
                    self._jobs.put(message)
                elif "answer" in message or "refused" in message:
                    self._messenger.answers.put(message)
        except (EOFError, OSError):
            os._exit(0)  # nobody is left to hear the outcome

    def _run(self, claimed: Claimed, place: str) -> Settlement:
        try:
            task = find_task(place)
        except Exception as error:  # the module's own code may raise anything
            return Fail(claimed.lease, failure_of(error, "error"))
        prepared = self._execution.prepare(claimed, task, None, Courier(self._line))
        if not isinstance(prepared, Assignment):
            return prepared
        self._running = prepared.running
        if not task.is_async:
            return self._execution.run(prepared).settlement
        try:
            return asyncio.run(self._execution.run_async(prepared)).settlement
        except BaseException as error:  # it stopped the event loop itself, or what it started exits
            return self._execution.failed(prepared, error)


@cache
def find_task(place: str) -> Task[..., Any]:
    """The task behind `module:name`; the worker has judged already that it may run."""
    module, _, qualified = place.partition(":")
    found = reduce(getattr, qualified.split("."), importlib.import_module(module))
    if isinstance(found, Task):
        return found
    return make_task(found, place, Queue(MEMORY), NO_OPTIONS)  # type: ignore[arg-type]


def main() -> None:
    """Begin to serve; the worker gives the setting as JSON."""
    setting = json.loads(sys.argv[1])
    os.set_inheritable(setting["pipe"], False)  # or what a task starts would keep it open after our death
    sys.path[:] = setting["path"]
    Inmate(Line(Pipe(setting["pipe"])), setting["max_payload"]).serve()


if __name__ == "__main__":
    main()
