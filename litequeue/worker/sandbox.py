"""Isolated attempts: each runs in a child process, which is killed at the time limit.

A segfault, `os._exit` or a kill for want of memory there costs that attempt and nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from ..clock import SECOND, Clock
from ..directives import TaskTimeout
from ..errors import EncodingError, LeaseLost, LiteQueueError
from ..job import Cancelled, Crash, Fail, Failure, Lease, Settlement, StoredResult
from ..log import log
from ..names import INTERACTIVE, module_name
from ..steps import StepKeeper
from . import wire
from .execution import Execution, failure_of
from .outcome import Assignment, Outcome

_LOOK = 0.2
_TIME_TO_DIE = 2.0
_TIME_TO_STOP = 2 * SECOND


class Sandboxes:
    """Child processes that run one job at a time; a healthy one is used again."""

    def __init__(self, clock: Clock, execution: Execution, keeper: StepKeeper, max_payload: int) -> None:
        self._clock = clock
        self._execution = execution
        self._keeper = keeper
        self._max_payload = max_payload
        self._folder = os.getcwd()  # a task on a thread may move this process
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, assignment: Assignment) -> Outcome:
        """Run an assignment in a child, and say how it ended."""
        began = self._clock.monotonic()
        child = self._take()
        try:
            settlement = self._run_in(child, assignment, began)
        except BaseException:
            child.kill()  # nobody knows what it is at
            raise
        finally:
            self._give_back(child)
        return Outcome(assignment, settlement, self._clock.monotonic() - began, began=began)

    def close(self) -> None:
        """Kill the children."""
        with self._lock:
            self._closed = True
            children = [*self._idle, *self._busy]
        for child in children:
            child.kill()

    def _take(self) -> Child:
        with self._lock:
            if self._closed:
                raise OSError("the worker has stopped, and starts no more processes")
            child = self._idle_child() or Child(self._max_payload, self._folder)
            self._busy.add(child)
        return child

    def _idle_child(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive():
                return child
            child.kill()  # what an earlier job left in it has ended it since
        return None

    def _give_back(self, child: Child) -> None:
        with self._lock:
            self._busy.discard(child)
            if child.is_alive() and not (self._closed or child.is_spent):
                self._idle.append(child)
                return
        child.kill()

    def _run_in(self, child: Child, assignment: Assignment, began: int) -> Settlement:
        lease = assignment.claimed.lease
        place = function_place(assignment)
        if place.startswith((f"{INTERACTIVE}:", "__main__:")):
            error = ImportError("an isolated task must live in a file that its process can import")
            return Fail(lease, failure_of(error, "error"))
        limit = assignment.policy.timeout
        deadline = None if limit is None else began + limit
        try:
            child.send({"claimed": assignment.claimed, "place": place})
            return self._follow(child, assignment, deadline)
        except (EOFError, OSError):
            return Crash(
                lease, Failure("crashed", "ProcessDied", f"the isolated process {child.last_words()}")
            )

    def _follow(self, child: Child, assignment: Assignment, deadline: int | None) -> Settlement:
        """Listen to the child until it is done, or its time is over."""
        stop_at: int | None = None
        while True:
            now = self._clock.monotonic()
            if deadline is not None and now >= deadline:
                child.kill()
                return self._execution.failed(assignment, TaskTimeout())
            if assignment.running.cancelled and stop_at is None:
                child.send({"stop": True})
                stop_at = now + _TIME_TO_STOP
            if stop_at is not None and now >= stop_at:
                child.kill()
                return Cancelled(assignment.claimed.lease, "stopped by force")
            left = _LOOK if deadline is None else min(_LOOK, (deadline - now) / SECOND)
            if child.pipe.poll(left):
                message = wire.from_bytes(child.pipe.recv_bytes())
                if "settlement" in message:
                    settlement: Settlement = message["settlement"]
                    if settlement.lease != assignment.lease:
                        raise EncodingError(f"a sandbox speaks of {settlement.lease}, which is not its job")
                    self._note_changes(child, assignment, message["changed"])
                    return settlement
                if "find" in message or "keep" in message:
                    child.send(self._answer(assignment.lease, message))
                else:
                    _put(assignment, message)
            elif not child.is_alive() and not child.pipe.poll():
                raise EOFError  # what it started may keep the pipe open

    def _note_changes(self, child: Child, assignment: Assignment, changes: list[str]) -> None:
        """The next job must not find what this one has changed of its process."""
        if changes:
            child.is_spent = True
            log.warning(
                "job=%d task=%s left its process with another %s; the next job gets a new one",
                assignment.lease.job,
                assignment.claimed.task,
                ", ".join(changes),
            )

    def _answer(self, lease: Lease, message: dict[str, Any]) -> dict[str, object]:
        """Do what the child can not, which has no file: find or keep a step of its job."""
        found: StoredResult | None = None
        try:
            match message:
                case {"find": str() as name}:
                    found = self._keeper.find(lease, name)
                case {"keep": str() as name, "result": StoredResult() as result}:
                    self._keeper.keep(lease, name, result)
        except LiteQueueError as error:
            return {"refused": str(error), "is_lost": isinstance(error, LeaseLost)}
        return {"answer": found}


class Child:
    """One child process, and the pipe to it."""

    def __init__(self, max_payload: int, folder: str) -> None:
        self.is_spent = False
        self.pipe, theirs = Pipe()
        places = [place or folder for place in sys.path]
        setting = json.dumps({"path": places, "max_payload": max_payload, "pipe": theirs.fileno()})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "litequeue.worker.inmate", setting],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # so that a kill takes its own children along, and Ctrl-C is left to us
            env={**os.environ, "LITEQUEUE_CHILD": "1", "PYTHONPATH": os.pathsep.join(places)},
            cwd=folder,
        )
        theirs.close()

    def send(self, message: dict[str, object]) -> None:
        """Say something to the child."""
        self.pipe.send_bytes(wire.to_bytes(message))

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the process and what it started."""
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.pipe.close()

    def last_words(self) -> str:
        """How it ended, in words."""
        try:
            code = self._process.wait(_TIME_TO_DIE)
        except subprocess.TimeoutExpired:
            self.kill()
            return "closed its pipe to the worker, and was killed"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended by itself with exit code {code}"


def function_place(assignment: Assignment) -> str:
    """Where the child finds the function: its module by importable name, and its qualified name."""
    function = assignment.task.function
    return f"{module_name(function)}:{function.__qualname__}"


def _put(assignment: Assignment, message: dict[str, Any]) -> None:
    """Put what the task told in the child where a task of ours would have put it."""
    mailbox = assignment.mailbox
    match message:
        case {"progress": [fraction, text]}:
            mailbox.put_progress(fraction, text)
        case {"meta": str() as text}:
            mailbox.put_meta(text)
        case {"line": [int() as at, str() as text]}:
            mailbox.put_line(at, text)
